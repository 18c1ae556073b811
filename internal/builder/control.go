package builder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"plague"
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
	lock, err := tryLock(dir, takesUp())
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

// maxDaemons is how many connections a supervisor has: a daemon's one, those that it
// says stop on, and what daemons that died have left.
const maxDaemons = 32

// greet takes a daemon in. One that was accepted and came too late for Close is
// turned away here, or both would wait for the other's end.
func (c *Control) greet(conn *net.UnixConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		conn.Close()
		return false
	}
	for old := range c.conns { // who has them all, and does nothing with them, is no daemon
		if len(c.conns) < maxDaemons {
			break
		}
		old.Close()
		delete(c.conns, old)
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
// does not read is not waited for: it asks again when it comes back. What one that
// has hung up said before, such as stop, is still to be read.
func (c *Control) tell(conn *net.UnixConn) {
	line, err := json.Marshal(News{Phase: c.phase, Log: true})
	if err != nil {
		return
	}
	if conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, err = conn.Write(append(line, '\n'))
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
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
