package builder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"plague"

	"golang.org/x/sys/unix"
)

// A supervisor and a daemon meet in the attempt's folder, however often either
// is restarted:
//
//	lock      held by the supervisor for as long as it lives
//	closed    written by a daemon that found the lock free: no supervisor may begin here any more
//	control   a Unix socket: the supervisor writes its phase, one JSON line for each; a line "stop" ends the build
const (
	lockFile    = "lock"
	closedFile  = "closed"
	controlFile = "control"
)

// Control is the supervisor's end.
type Control struct {
	listener *net.UnixListener
	lock     *os.File
	stop     context.CancelFunc

	mu    sync.Mutex // guards the fields below
	phase plague.Phase
	conns map[*net.UnixConn]bool // nil once it is closed
	told  time.Time              // when growth of a log was told last
	due   bool                   // it will be told again when logTold has passed
}

// logTold is how often growth of a log is told at most: a build that writes
// line by line must not send a message for each.
const logTold = 50 * time.Millisecond

// errClosed says that the folder's attempt is over, or another supervisor's.
var errClosed = errors.New("no supervisor may begin here any more")

// TakeControl makes the caller the one supervisor of a folder. stop is called
// when the daemon asks for it; uid may connect besides root.
func TakeControl(dir string, uid int, stop context.CancelFunc) (*Control, error) {
	lock, err := tryLock(dir)
	if err != nil {
		return nil, err
	}
	c := &Control{lock: lock, stop: stop, conns: map[*net.UnixConn]bool{}}
	for _, over := range []string{closedFile, outcomeFile} {
		if _, err := os.Lstat(filepath.Join(dir, over)); err == nil {
			lock.Close()
			return nil, errClosed
		}
	}
	name := filepath.Join(dir, controlFile)
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		lock.Close()
		return nil, err
	}
	if c.listener, err = listen(dir, uid); err != nil {
		lock.Close()
		return nil, err
	}
	return c, nil
}

// Serve answers daemons until Close.
func (c *Control) Serve() {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := c.listener.AcceptUnix()
		if err != nil {
			return
		}
		if !c.greet(conn) {
			return
		}
		wg.Go(func() {
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				if lines.Text() == "stop" {
					c.stop()
				}
			}
			c.mu.Lock()
			delete(c.conns, conn)
			c.mu.Unlock()
			conn.Close()
		})
	}
}

// greet takes a daemon in. One that was accepted and came too late for Close is
// turned away here, or both would wait for the other's end.
func (c *Control) greet(conn *net.UnixConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		conn.Close()
		return false
	}
	c.conns[conn] = true
	c.tell(conn)
	return true
}

// News tells all daemons that listen.
func (c *Control) News(n News) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.Phase != "" && n.Phase != c.phase {
		c.phase = n.Phase
		c.tellAll()
		return
	}
	if !n.Log || c.due {
		return
	}
	wait := logTold - time.Since(c.told)
	if wait <= 0 {
		c.tellAll()
		return
	}
	c.due = true
	time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.due = false
		c.tellAll()
	})
}

func (c *Control) tellAll() {
	c.told = time.Now()
	for conn := range c.conns {
		c.tell(conn)
	}
}

// tell writes the phase to one daemon, and that logs may have grown. One that
// does not read is not waited for: it asks again when it comes back.
func (c *Control) tell(conn *net.UnixConn) {
	line, err := json.Marshal(News{Phase: c.phase, Log: true})
	if err != nil {
		return
	}
	if conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, err = conn.Write(append(line, '\n'))
	}
	if err != nil {
		conn.Close()
	}
}

// Close ends the supervisor's hold on the folder: the last thing it does. The
// lock goes before the connections: a daemon that sees its own end finds the
// folder free, and does not have to ask again.
func (c *Control) Close() error {
	err := errors.Join(c.lock.Close(), c.listener.Close())
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
	return err
}

// tryLock takes a folder's lock; plague.ErrConflict says that somebody has it.
func tryLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: a supervisor lives in %s", plague.ErrConflict, dir)
		}
		return nil, err
	}
	return f, nil
}

// Alive says whether a supervisor lives in an attempt's folder.
func Alive(dir string) bool {
	f, err := tryLock(dir)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, plague.ErrConflict)
}

// near gives a short path to the socket: an address may have 107 bytes only,
// and a work folder can be deeper.
func near(dir string) (string, *os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), controlFile), f, nil
}

// listen opens the socket for uid.
func listen(dir string, uid int) (*net.UnixListener, error) {
	name, f, err := near(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // its name is gone with the folder
	if err := giveSocket(int(f.Fd()), uid); err != nil {
		l.Close()
		return nil, fmt.Errorf("%s of %s: %w", controlFile, dir, err)
	}
	return l, nil
}

// giveSocket gives away the socket in a folder. The folder is the daemon's: what
// it may put in the socket's place, such as a hard link to a file of root's, must
// not become its own.
func giveSocket(folder, uid int) error {
	fd, err := unix.Openat(folder, controlFile, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Nlink != 1 || int(st.Uid) != os.Geteuid() {
		return errors.New("it is not the socket that was made")
	}
	return unix.Fchownat(fd, "", uid, -1, unix.AT_EMPTY_PATH)
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	name, f, err := near(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var d net.Dialer
	return d.DialContext(ctx, "unix", name)
}

// A supervisor that lives and does not listen, yet or any more, is asked again
// soon, for it begins or ends within moments; then less often, for it may hang.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// watchSupervisor tells what the supervisor of a folder does until it is gone.
func watchSupervisor(ctx context.Context, dir string, news func(News)) error {
	for look := firstLook; ctx.Err() == nil; look = min(2*look, lastLook) {
		if conn, err := dial(ctx, dir); err == nil {
			read(ctx, conn, news)
		}
		over, err := closeFolder(dir)
		if over || err != nil {
			return err
		}
		t := time.NewTimer(look)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return ctx.Err()
}

func read(ctx context.Context, conn net.Conn, news func(News)) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var n News
		if json.Unmarshal(lines.Bytes(), &n) == nil {
			news(n)
		}
	}
}

// closeFolder makes sure that nobody supervises a folder now or later; it says
// whether that is so.
func closeFolder(dir string) (bool, error) {
	lock, err := tryLock(dir)
	if errors.Is(err, plague.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	f, err := os.OpenFile(filepath.Join(dir, closedFile), os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// stopSupervisor asks the supervisor of a folder to end its build.
func stopSupervisor(ctx context.Context, dir string) error {
	conn, err := dial(ctx, dir)
	if err != nil {
		if Alive(dir) {
			return err
		}
		return nil
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write([]byte("stop\n"))
	return err
}
