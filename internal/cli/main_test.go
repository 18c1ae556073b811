package cli

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary answer to the program's names, so that scripts
// run the real thing as a process of its own.
func TestMain(m *testing.M) {
	runCerthelper := func() {
		os.Exit(certhelper(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){
		"plague-certhelper": runCerthelper,
		"certhelper.py":     runCerthelper,
	})
}
