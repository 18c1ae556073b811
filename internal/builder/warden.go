package builder

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// The builder is two processes. The warden is root and small: it opens the
// door, starts supervisors, which need root to make sandboxes, and sweeps
// after them. The daemon is unprivileged and does all that speaks with the
// network. They are joined by one socket; when either dies the other ends, and
// supervisors go on.

// Warden is the privileged half.
type Warden struct {
	Work      string                     // root's own folder, with the daemon's in it
	Attempts  string                     // folder of the attempts' folders, from Work
	Daemon    func() *exec.Cmd           // the unprivileged half, its end of the socket still to be added as file 3
	Supervise func(dir string) *exec.Cmd // a supervisor, the pipe it says "ready" on still to be added as file 3
	Sweep     func(live []string) error  // removes what supervisors that are gone left behind
	Keep      Keep                       // nil: nothing is kept
	// HandsBack says at the end whether the builds end, too, and are handed back to the
	// server; nil: they run on under their supervisors.
	HandsBack func() bool
	Check     func(context.Context) error // says what the machine lacks to build; nil: nothing
	Log       *slog.Logger

	mu sync.Mutex // one sweep at a time, and none while a supervisor begins
}

// Keep puts the builder's key and its renewed certificate (PEM) in the place of the old,
// if it proves itself: the files are root's.
type Keep func(keyAndCert []byte) error

// request is a line from the daemon, reply the line back. It names an attempt's folder,
// or has what is to be kept, or asks whether the machine can build.
type request struct {
	Check bool   `json:"check,omitempty"`
	Keep  []byte `json:"keep,omitempty"`  // key and certificate
	Start string `json:"start,omitempty"` // begin its supervisor
	Kill  string `json:"kill,omitempty"`  // end it by force
}

type reply struct {
	Error string `json:"error,omitempty"`
}

// Run starts the daemon and serves it until it ends or ctx does.
func (w *Warden) Run(ctx context.Context) error {
	adopted, err := w.sweep()
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer ours.Close()
	daemon := w.Daemon()
	daemon.ExtraFiles = append([]*os.File{theirs}, daemon.ExtraFiles...)
	// A daemon without a warden starts nothing and keeps the door from the next:
	// it goes with it, which is the thread that starts it here.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if daemon.SysProcAttr == nil {
		daemon.SysProcAttr = &syscall.SysProcAttr{}
	}
	daemon.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := daemon.Start(); err != nil {
		theirs.Close()
		return fmt.Errorf("daemon: %w", err)
	}
	theirs.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var tasks sync.WaitGroup
	served, done := make(chan error, 1), make(chan error, 1)
	tasks.Go(func() { served <- w.serve(ctx, ours) })
	tasks.Go(func() { w.follow(ctx, adopted) })
	go func() { done <- daemon.Wait() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = w.end(daemon, done)
	case err = <-served:
		ours.Close() // it hears no more, and knows
		err = errors.Join(err, w.endAfter(daemon, done, err))
	}
	ours.Close()
	cancel()
	tasks.Wait()
	return err
}

// daemonGrace is how long the daemon has to end its calls, having handed back what it
// runs if it has to.
const daemonGrace = HandBackTime + 8*time.Second

// HandBackSignal is what the daemon hands back its builds at, and ends.
const HandBackSignal = syscall.SIGUSR1

func (w *Warden) end(daemon *exec.Cmd, done <-chan error) error {
	sig := syscall.SIGTERM
	if w.HandsBack != nil && w.HandsBack() {
		sig = HandBackSignal
	}
	if err := daemon.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return awaitDaemon(daemon, done)
}

// endAfter waits for a daemon that has hung up. One that says what no daemon says is not
// waited for: it is somebody else by now.
func (w *Warden) endAfter(daemon *exec.Cmd, done <-chan error, said error) error {
	if said != nil {
		return errors.Join(daemon.Process.Kill(), <-done)
	}
	return awaitDaemon(daemon, done)
}

func awaitDaemon(daemon *exec.Cmd, done <-chan error) error {
	t := time.NewTimer(daemonGrace)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return errors.Join(errors.New("the daemon did not end in time"), daemon.Process.Kill(), <-done)
	}
}

// maxRequest is the longest line that is taken from the daemon: a key and a certificate.
const maxRequest = 64 << 10

// serve answers the daemon until it hangs up or its socket is closed here; anything else
// is the error.
func (w *Warden) serve(ctx context.Context, conn io.ReadWriter) error {
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxRequest)
	for lines.Scan() {
		var q request
		var r reply
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			r.Error = err.Error()
		} else if err := w.answer(ctx, q); err != nil {
			if !q.Check { // which the daemon makes known
				w.Log.Error("not done for the daemon", "start", short(q.Start), "kill", short(q.Kill), "keep", len(q.Keep) > 0, "error", err)
			}
			r.Error = err.Error()
		}
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := conn.Write(append(line, '\n')); err != nil {
			return ended(err)
		}
	}
	return ended(lines.Err())
}

// ended takes the end of a socket for none of its errors.
func ended(err error) error {
	if err == nil || errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return fmt.Errorf("the daemon is not heard any more: %w", err)
}

// short keeps the daemon from filling the log.
func short(name string) string { return name[:min(len(name), 40)] }

func (w *Warden) answer(ctx context.Context, q request) error {
	switch {
	case q.Check:
		return w.check(ctx)
	case len(q.Keep) > 0 && w.Keep != nil:
		return w.Keep(q.Keep)
	}
	name := cmp.Or(q.Kill, q.Start)
	if !attemptName().MatchString(name) {
		return fmt.Errorf("%q does not name an attempt", short(name))
	}
	if q.Kill != "" {
		return w.kill(ctx, name)
	}
	return w.start(ctx, name)
}

// checkTimeout bounds one look at the machine: meanwhile nothing is started.
const checkTimeout = 30 * time.Second

// check says what keeps the machine from building. No sweep takes away meanwhile what
// it tries that with.
func (w *Warden) check(ctx context.Context) error {
	if w.Check == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return w.Check(ctx)
}

// attemptName is all that the daemon may ask for: it is not trusted with paths.
func attemptName() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{1,18}-[0-9]{1,9}$`) }

// readyTimeout is how long a supervisor may take until it holds its folder.
const readyTimeout = 10 * time.Second

func (w *Warden) supervisor(name string) *exec.Cmd {
	return w.Supervise(filepath.Join(w.Work, w.Attempts, name))
}

// start begins a supervisor in a session of its own and waits until it holds
// its folder: from then on the folder tells whether it lives.
func (w *Warden) start(ctx context.Context, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := w.supervisor(name)
	cmd.ExtraFiles = append([]*os.File{tell}, cmd.ExtraFiles...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		tell.Close()
		return err
	}
	tell.Close()
	go w.reap(ctx, cmd, name)
	if err := ready.SetReadDeadline(time.Now().Add(readyTimeout)); err != nil {
		return err
	}
	line, err := bufio.NewReader(ready).ReadString('\n')
	if line != "ready\n" {
		return fmt.Errorf("it did not take up its attempt: %q %w", line, errors.Join(err, cmd.Process.Kill()))
	}
	return nil
}

// reap collects a supervisor that ends while the warden lives. One that did
// not end by itself may have left a buildroot behind.
func (w *Warden) reap(ctx context.Context, cmd *exec.Cmd, name string) {
	err := cmd.Wait()
	if err == nil {
		return
	}
	w.Log.Warn("supervisor died", "attempt", name, "error", err)
	if err := w.sweepAfter(ctx, name); err != nil {
		w.Log.Warn("not swept", "attempt", name, "error", err)
	}
}

// sweep removes what belongs to no living supervisor, and gives the attempts of those
// that live.
func (w *Warden) sweep() (live []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	attempts, err := OpenFolder(w.Work, w.Attempts)
	if err != nil {
		return nil, err
	}
	defer attempts.Close()
	entries, err := os.ReadDir(attempts.Path())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if attemptName().MatchString(e.Name()) && w.lives(e.Name()) {
			live = append(live, e.Name())
		}
	}
	return live, w.Sweep(live)
}

// lives says whether a supervisor lives in an attempt's folder, and looks at
// nothing but that folder.
func (w *Warden) lives(name string) bool {
	dir, err := OpenFolder(w.Work, filepath.Join(w.Attempts, name))
	if err != nil {
		return false
	}
	defer dir.Close()
	return Alive(dir.Path())
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	// Close ends a Read of ours then, also while something that the daemon has left behind
	// holds the other end.
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(err, syscall.Close(fds[0]), syscall.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "daemon"), os.NewFile(uintptr(fds[1]), "warden"), nil
}
