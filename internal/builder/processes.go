package builder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"
)

// Processes is the daemon's Launcher: supervisors are processes that the
// warden starts.
type Processes struct {
	warden   net.Conn
	replies  chan reply
	gone     chan struct{} // closed when Run ends: nothing is answered any more
	patience time.Duration // how long a supervisor may go on after it was told to stop
	mu       sync.Mutex    // one request at a time
}

// stopPatience is time enough to end a build; a supervisor that takes longer is
// deaf, and would hold its slot for ever.
const stopPatience = time.Minute

// NewProcesses speaks with the warden over conn.
func NewProcesses(conn net.Conn) *Processes {
	return &Processes{warden: conn, replies: make(chan reply), gone: make(chan struct{}), patience: stopPatience}
}

// Run takes in the warden's answers until ctx ends or the warden is gone, which
// is the error: without it nothing can be begun, and the next warden needs the
// door that this daemon holds.
func (p *Processes) Run(ctx context.Context) error {
	defer close(p.gone)
	defer context.AfterFunc(ctx, func() { p.warden.Close() })()
	lines := bufio.NewScanner(p.warden)
	for lines.Scan() {
		var r reply
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("warden: %w", err)
		}
		select {
		case p.replies <- r:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the warden is gone: %w", errors.Join(io.ErrUnexpectedEOF, lines.Err()))
}

// errNoWarden says that nobody answers any more.
var errNoWarden = errors.New("the warden is gone")

// ask sends a request and waits for its answer, whatever becomes of who asks: the
// next one would take it for its own.
func (p *Processes) ask(q request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if _, err := p.warden.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%w: %w", errNoWarden, err)
	}
	select {
	case <-p.gone:
		return errNoWarden
	case r := <-p.replies:
		if r.Error != "" {
			return errors.New(r.Error)
		}
		return nil
	}
}

// Start has the warden begin a supervisor. When the warden is gone the daemon
// is about to end, and it is ctx that says so: the attempt has not failed.
func (p *Processes) Start(ctx context.Context, dir string) error {
	err := p.ask(request{Start: filepath.Base(dir)})
	if errors.Is(err, errNoWarden) {
		<-ctx.Done()
	}
	return err
}

// Ready has the warden look whether the machine can build, and says what it lacks. That
// the warden is gone says nothing of the machine: the daemon is about to end.
func (p *Processes) Ready() error {
	if err := p.ask(request{Check: true}); !errors.Is(err, errNoWarden) {
		return err
	}
	return nil
}

// Keep has the warden keep the builder's renewed key and certificate.
func (p *Processes) Keep(keyAndCert []byte) error { return p.ask(request{Keep: keyAndCert}) }

// Watch tells what a supervisor does until it is gone.
func (p *Processes) Watch(ctx context.Context, dir string, news func(News)) error {
	return watchSupervisor(ctx, dir, news)
}

// stopTick is how often a supervisor is told again to stop.
const stopTick = time.Second

// Stop tells a supervisor to end its build until ctx ends, because it has. After
// some patience it has the warden kill it, and returns.
func (p *Processes) Stop(ctx context.Context, dir string) error {
	late := time.NewTimer(p.patience)
	defer late.Stop()
	again := time.NewTicker(stopTick)
	defer again.Stop()
	for {
		err := stopSupervisor(ctx, dir)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		case <-late.C:
			return errors.Join(err, p.ask(request{Kill: filepath.Base(dir)}))
		}
	}
}
