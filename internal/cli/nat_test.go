package cli

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nat is a network of its own behind a router that masquerades: who is in it reaches
// the farm as 127.0.0.1, as anybody does here, and nobody reaches him. All packets
// pass the line between the router and the farm, which the test can make long, lossy,
// slow and dead.
//
//	inside ── lan ── router ── masquerade ── the line ── the farm
type nat struct {
	t       *testing.T
	inside  string // network namespace
	router  string
	outside string // address of the farm on the line
	line    *tunnel
}

// newNAT makes it, for these ports of the farm that is at the site.
func newNAT(t *testing.T, at site, ports ...string) *nat {
	t.Helper()
	for _, tool := range []string{"ip", "nft", "nsenter", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v: install iproute2, nftables, util-linux and procps", err)
		}
	}
	n := &nat{t: t, inside: fmt.Sprintf("pl%din", at), router: fmt.Sprintf("pl%drt", at), outside: fmt.Sprintf("198.18.%d.1", at)}
	for _, left := range []string{n.inside, n.router} { // by who had the site before, and was killed
		_ = exec.CommandContext(t.Context(), "ip", "netns", "del", left).Run()
	}
	if out, err := exec.CommandContext(t.Context(), "ip", "netns", "add", n.inside).CombinedOutput(); err != nil {
		t.Skipf("this machine makes no network namespaces: %v, %s", err, out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", n.inside).Run() })
	n.do("ip netns add %s", n.router)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", n.router).Run() })
	near, far := fmt.Sprintf("pl%dn", at), fmt.Sprintf("pl%df", at)
	n.line = newTunnel(t, near, far)
	lan := strings.Replace(n.outside, "198.18.", "198.19.", 1) // of the router; both are for tests (RFC 2544)
	me, router := strings.TrimSuffix(lan, "1")+"2", strings.TrimSuffix(n.outside, "1")+"2"
	n.do("ip addr add %s peer %s dev %s", n.outside, router, near)
	n.do("ip link set %s up", near)
	n.do("ip link set %s netns %s", far, n.router)
	n.do("ip -n %s addr add %s peer %s dev %s", n.router, router, n.outside, far)
	n.do("ip -n %s link set %s up", n.router, far)
	n.do("ip -n %s link add lan type veth peer name eth netns %s", n.router, n.inside)
	n.do("ip -n %s addr add %s/30 dev lan", n.router, lan)
	n.do("ip -n %s link set lan up", n.router)
	n.do("ip -n %s addr add %s/30 dev eth", n.inside, me)
	n.do("ip -n %s link set eth up", n.inside)
	n.do("ip -n %s link set lo up", n.inside)
	n.do("ip -n %s route add default via %s", n.inside, lan)
	n.do("ip netns exec %s sysctl -qw net.ipv4.ip_forward=1", n.router)
	n.do("ip netns exec %s sysctl -qw net.ipv4.conf.all.route_localnet=1", n.inside)
	n.rules(n.router, fmt.Sprintf("table ip nat {\nchain out {\ntype nat hook postrouting priority 100\noifname %q masquerade\n}\n}\n", far))
	n.rules(n.inside, fmt.Sprintf("table ip nat {\nchain begin {\ntype nat hook output priority -100\nip daddr 127.0.0.1 tcp dport { %s } dnat to %s\n}\nchain out {\ntype nat hook postrouting priority 100\noifname \"eth\" masquerade\n}\n}\n",
		strings.Join(ports, ", "), n.outside))
	return n
}

// do runs a command of words that hold no spaces.
func (n *nat) do(format string, args ...any) {
	n.t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	if out, err := exec.CommandContext(n.t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%q: %v, %s", words, err, out)
	}
}

func (n *nat) rules(namespace, text string) {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), "ip", "netns", "exec", namespace, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("nft: %v, %s\n%s", err, out, text)
	}
}

// within are the arguments of nsenter for a namespace.
func within(namespace string) []string { return []string{"--net=/run/netns/" + namespace} }

// pass has what listens at 127.0.0.1 only be reached over the line, too.
func (n *nat) pass(port string) {
	n.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(n.outside, port))
	if err != nil {
		n.t.Fatal(err)
	}
	var open sync.WaitGroup
	n.t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { splice(n.t, c, net.JoinHostPort("127.0.0.1", port)) })
		}
	})
}

// splice joins a connection with another, until one of the two ends or the test does.
func splice(t *testing.T, c net.Conn, to string) {
	defer c.Close()
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer d.Close()
	over := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{c, d}, {d, c}} {
		go func() {
			buf := make([]byte, 64<<10)
			for {
				n, err := pair[0].Read(buf)
				if n > 0 {
					if _, err := pair[1].Write(buf[:n]); err != nil {
						break
					}
				}
				if err != nil {
					break
				}
			}
			over <- struct{}{}
		}()
	}
	select {
	case <-over:
	case <-t.Context().Done():
	}
}

// tunnel is a line between two network devices of this process.
type tunnel struct {
	mu    sync.Mutex      // guards the fields below
	delay time.Duration   // each way
	loss  float64         // share of the packets, each way
	rate  float64         // bytes a second, each way; 0: any
	cut   bool            // nothing passes
	seen  map[uint32]bool // TCP connections, by their two ports
	dead  map[uint32]bool // of these nothing passes
	lost  int
}

// queued is how many packets wait at most for a slow line, as in a router.
const queued = 400

type packet struct {
	data []byte
	due  time.Time
}

// newTunnel makes both devices here, and passes packets on until the test ends.
func newTunnel(t *testing.T, near, far string) *tunnel {
	t.Helper()
	l := &tunnel{seen: map[uint32]bool{}, dead: map[uint32]bool{}}
	a, b := device(t, near), device(t, far)
	var wg sync.WaitGroup
	for _, way := range [][2]*os.File{{a, b}, {b, a}} {
		wait := make(chan packet, queued)
		wg.Go(func() { l.read(way[0], wait) })
		wg.Go(func() { l.write(way[1], wait) })
	}
	t.Cleanup(func() { a.Close(); b.Close(); wg.Wait() })
	return l
}

// device makes a TUN device (Documentation/networking/tuntap.rst of the kernel).
func device(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("this kernel has no TUN devices: %v", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		unix.Close(fd)
		t.Skipf("no TUN device may be made here: %v", err)
	}
	return os.NewFile(uintptr(fd), name)
}

func (l *tunnel) read(from *os.File, to chan<- packet) {
	defer close(to)
	buf := make([]byte, 64<<10)
	var free time.Time // when the line is through with what it has
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		delay, rate, ok := l.passes(buf[:n])
		if !ok {
			continue
		}
		now := time.Now()
		if free = later(free, now); rate > 0 {
			free = free.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		}
		select {
		case to <- packet{append([]byte(nil), buf[:n]...), free.Add(delay)}:
		default: // the queue is full: TCP will hear of it
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// passes decides about one packet.
func (l *tunnel) passes(data []byte) (delay time.Duration, rate float64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(data) > 24 && data[0]>>4 == 4 && data[9] == unix.IPPROTO_TCP {
		ports := data[int(data[0]&15)*4:]
		from, to := uint32(ports[0])<<8|uint32(ports[1]), uint32(ports[2])<<8|uint32(ports[3])
		flow := min(from, to)<<16 | max(from, to)
		l.seen[flow] = true
		if l.dead[flow] {
			return 0, 0, false
		}
	}
	if l.cut {
		return 0, 0, false
	}
	if l.loss > 0 && rand.Float64() < l.loss {
		l.lost++
		return 0, 0, false
	}
	return l.delay, l.rate, true
}

func (l *tunnel) write(to *os.File, from <-chan packet) {
	for p := range from {
		if wait := time.Until(p.due); wait > 0 {
			<-time.After(wait)
		}
		if _, err := to.Write(p.data); err != nil {
			continue // the device is down, or gone
		}
	}
}

// set changes the line.
func (l *tunnel) set(change func(*tunnel)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// swallow has nothing more pass of the connections that are open: neither end hears of it.
func (l *tunnel) swallow() {
	l.set(func(l *tunnel) {
		for flow := range l.seen {
			l.dead[flow] = true
		}
	})
}
