package cli

import (
	"fmt"
	"net"
	"os"
	"testing"
)

// A site is what a farm of a test has for itself beside others of the same moment, also
// of other test processes: ports below those that the system gives to connections, and
// uids.
type site int

const (
	sites     = 64
	sitePorts = 20
	siteUIDs  = 1000
)

// newSite finds a site that nobody has, until the test ends: who has it listens on its
// last port.
func newSite(t *testing.T) site {
	t.Helper()
	for i := range sites {
		s := site((os.Getpid() + i) % sites)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port()+sitePorts-1)); err == nil {
			t.Cleanup(func() { l.Close() })
			return s
		}
	}
	t.Fatal("all sites of farms are taken")
	return 0
}

func (s site) port() int         { return 20_000 + int(s)*sitePorts }
func (s site) builder(i int) int { return s.port() + 4 + i }
func (s site) uid() int          { return 200_000 + int(s)*siteUIDs }
