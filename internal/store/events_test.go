package store_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"plague"
	"plague/internal/store"
)

// tap is a second user of the farm's database whose statements a test can
// watch, stop and break once it is open.
type tap struct {
	*store.DB
	hook atomic.Pointer[func(op string) error]
}

func (f *farm) tap() *tap {
	f.t.Helper()
	p := &tap{}
	p.DB = f.open(store.Options{Hook: func(op string) error {
		if hook := p.hook.Load(); hook != nil {
			return (*hook)(op)
		}
		return nil
	}})
	return p
}

func (p *tap) set(hook func(op string) error) { p.hook.Store(&hook) }

// stopAt makes the next statement that begins so wait: reached closes when it
// does, and it goes on when pass is closed.
func (p *tap) stopAt(statement string) (reached, pass chan struct{}) {
	reached, pass = make(chan struct{}), make(chan struct{})
	p.set(func(op string) error {
		if strings.HasPrefix(op, statement) {
			p.hook.Store(nil)
			close(reached)
			<-pass
		}
		return nil
	})
	return reached, pass
}

// TestCursorNeverSkips: of two transactions on PostgreSQL the one that began
// later writes its event first and commits last. Whoever follows events
// meanwhile misses neither.
func TestCursorNeverSkips(t *testing.T) {
	f := newFarm(t, postgres(t))
	cursor, err := f.LastEvent(f.ctx)
	f.must(err)
	early, late := f.tap(), f.tap()
	jobs := []store.NewJob{newJob("early", "1"), newJob("late", "1")}
	for _, n := range jobs {
		f.must(f.AddUpload(f.ctx, f.now, n.User, n.SRPM, n.SRPMSize))
	}
	done := []chan error{make(chan error, 1), make(chan error, 1)}
	submit := func(db *tap, i int) {
		_, err := db.Submit(f.ctx, f.now, jobs[i])
		done[i] <- err
	}
	reached, goEarly := early.stopAt("INSERT INTO events")
	go submit(early, 0)
	<-reached
	reached, goLate := late.stopAt("commit")
	go submit(late, 1)
	<-reached

	close(goEarly)
	f.must(<-done[0])
	var seen []string
	follow := func() {
		es, err := f.Events(f.ctx, cursor, 100)
		f.must(err)
		for _, e := range es {
			seen, cursor = append(seen, e.Text), e.ID
		}
	}
	follow()
	if last, err := f.LastEvent(f.ctx); err != nil || last > cursor {
		t.Errorf("last event %d, %v, while the cursor is %d", last, err, cursor)
	}
	close(goLate)
	f.must(<-done[1])
	follow()
	if got := strings.Join(seen, ", "); got != "late-1-1 for lab-12-extras, early-1-1 for lab-12-extras" {
		t.Errorf("followed: %s", got)
	}
}

// TestEventsTogether: no transition without its event, and no event of what was
// undone.
func TestEventsTogether(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		broken := errors.New("broken")
		db := f.tap()
		uid := f.submit(newJob("ethtool", "1.8"))
		before := f.dump()
		db.set(func(op string) error {
			if strings.HasPrefix(op, "INSERT INTO events") {
				return broken
			}
			return nil
		})
		if err := db.Kill(f.ctx, f.now, "x", uid); !errors.Is(err, broken) || !errors.Is(err, plague.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		if after := f.dump(); after != before {
			t.Errorf("a kill without an event took effect:\n%s\n%s", before, after)
		}
	})
}
