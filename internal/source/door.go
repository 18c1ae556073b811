package source

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"plague/internal/sandbox"
)

// door is a proxy that leads to one lookaside and nowhere else. Where that speaks
// https only its host is held to: the path is the client's and the server's.
type door struct {
	to   location
	left atomic.Int64 // bytes that may still come through
}

// keepDoor serves the door on file 3, as the user who fetches, until it is killed.
func keepDoor(lookaside, bytes string) int {
	d := &door{}
	var err error
	if d.to, err = parseURL(lookaside, []string{"https", "http"}); err != nil {
		return 2
	}
	n, err := strconv.ParseInt(bytes, 10, 64)
	if err != nil {
		return 2
	}
	d.left.Store(n)
	l, err := net.FileListener(os.NewFile(3, "door"))
	if err != nil {
		return 1
	}
	s := http.Server{Handler: d, ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	if s.Serve(l) != nil {
		return 1
	}
	return 0
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, err := newLocation("https", r.Host, "/")
	switch {
	case r.Method == http.MethodConnect && d.to.protocol == "https" && err == nil && host.host == d.to.host:
		d.tunnel(w, r)
		return
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		if at, err := newLocation(r.URL.Scheme, r.URL.Host, r.URL.Path); err == nil && at.under(d.to) && at.protocol == "http" {
			d.get(w, r, at)
			return
		}
	}
	http.Error(w, "this target's sources may be fetched from "+d.to.String()+" and from nowhere else", http.StatusForbidden)
}

// get asks for what was checked, not for what was written.
func (d *door) get(w http.ResponseWriter, r *http.Request, at location) {
	ask, err := http.NewRequestWithContext(r.Context(), r.Method, (&url.URL{Scheme: at.protocol, Host: at.host, Path: at.path}).String(), nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if rng := r.Header.Get("Range"); rng != "" {
		ask.Header.Set("Range", rng)
	}
	answer, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true, ResponseHeaderTimeout: time.Minute}).RoundTrip(ask)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Range", "Last-Modified", "Etag", "Location"} {
		if value := answer.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, &toll{d, answer.Body}) // a client that has gone needs no more
}

func (d *door) tunnel(w http.ResponseWriter, r *http.Request) {
	address := d.to.host
	if _, _, err := net.SplitHostPort(address); err != nil {
		address += ":443"
	}
	server, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		server.Close()
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		server.Close()
		return
	}
	join(client, paid{server, d})
}

// toll lets so many bytes through as the door has left.
type toll struct {
	d *door
	r io.Reader
}

func (t *toll) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if t.d.left.Add(-int64(n)) < 0 {
		return 0, fmt.Errorf("more than the target allows")
	}
	return n, err
}

// paid is a connection whose answers are counted.
type paid struct {
	net.Conn
	d *door
}

func (p paid) Read(b []byte) (int, error) { return (&toll{p.d, p.Conn}).Read(b) }

// opened is a door that is served.
type opened struct {
	binds []sandbox.Bind
	cmd   *exec.Cmd
}

// openDoor starts this program again as the user who fetches, to serve a socket
// that the sandbox sees: what speaks with a server is never root.
func (m Maker) openDoor(ctx context.Context, p Plan) (*opened, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	socket, err := m.listen()
	if err != nil {
		return nil, fmt.Errorf("open the door to the lookaside: %w", err)
	}
	defer socket.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe") // to whose place the user may not pass
	cmd.Args = []string{doorName, p.cfg.Lookaside, strconv.FormatInt(p.cfg.Limits.withDefaults().Bytes, 10)}
	cmd.Env, cmd.Dir, cmd.ExtraFiles = []string{}, "/", []*os.File{socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if m.FetchUID >= 1 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(m.FetchUID), Gid: uint32(m.FetchGID), Groups: []uint32{}}
	}
	runtime.LockOSThread() // Pdeathsig follows the thread; close lets it go
	if err := cmd.Start(); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("open the door to the lookaside: %w", err)
	}
	return &opened{cmd: cmd, binds: []sandbox.Bind{
		{Source: self, Target: relayName, ReadOnly: true},
		{Source: filepath.Join(m.Work, "door"), Target: relaySock},
	}}, nil
}

// listen makes the socket in the work folder, whose name may be longer than those
// of sockets can be.
func (m Maker) listen() (*os.File, error) {
	work, err := os.OpenRoot(m.Work)
	if err != nil {
		return nil, err
	}
	defer work.Close()
	dir, err := work.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/door", dir.Fd())})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	if err := work.Lchown("door", m.UID, m.GID); err != nil {
		return nil, err
	}
	return l.File()
}

// close ends the server; what it answers by then matters to nobody.
func (o *opened) close() {
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	runtime.UnlockOSThread()
}
