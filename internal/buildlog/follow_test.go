package buildlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"plague"
	"plague/internal/buildlog"
)

// viewer is a follower at work. It has a lock, for the fake clock that takes turns
// between it and the test is nothing that the race detector knows.
type viewer struct {
	stop context.CancelFunc

	mu   sync.Mutex // guards the fields below
	text strings.Builder
	err  error
	done bool
}

func (v *viewer) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text.Write(p)
}

// state is what the follower has, once nobody in the bubble can do anything more.
func (v *viewer) state() (text string, done bool, err error) {
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text.String(), v.done, v.err
}

func watch(t *testing.T, follow func(ctx context.Context, v *viewer) error) *viewer {
	ctx, cancel := context.WithCancel(t.Context())
	v := &viewer{stop: cancel}
	go func() {
		err := follow(ctx, v)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.err, v.done = err, true
	}()
	return v
}

func (v *viewer) expect(t *testing.T, when, text string, done bool) {
	t.Helper()
	got, over, err := v.state()
	if got != text || over != done || over && err != nil {
		t.Errorf("%s the follower has %q, done %v, %v; want %q, done %v", when, got, over, err, text, done)
	}
}

func TestFollowersHearAtOnce(t *testing.T) {
	d := folder(t)
	synctest.Test(t, func(t *testing.T) {
		var hub buildlog.Hub
		begin := time.Now()
		from := func(offset int64) *viewer {
			return watch(t, func(ctx context.Context, v *viewer) error {
				return hub.Follow(ctx, d, "build.log", offset, v, nil)
			})
		}
		early := from(0)
		early.expect(t, "before there is a log", "", false)
		w, err := hub.Writer(d, "build.log", 1000)
		if err != nil {
			t.Fatal(err)
		}
		say(t, w, "one\n")
		early.expect(t, "after the first line", "one\n", false)
		late := from(0)
		resumed := from(2)
		ahead := from(6) // a reader that knows more than is here, after a power cut
		resumed.expect(t, "going on", "e\n", false)
		say(t, w, "two\n")
		early.expect(t, "after the second line", "one\ntwo\n", false)
		late.expect(t, "after the second line", "one\ntwo\n", false)
		resumed.expect(t, "after the second line", "e\ntwo\n", false)
		ahead.expect(t, "after the second line", "o\n", false)

		// The server restarts: nobody is told that it is over.
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		late.expect(t, "after the writer let go", "one\ntwo\n", false)
		if w, err = hub.Writer(d, "build.log", 1000); err != nil {
			t.Fatal(err)
		}
		say(t, w, "three")
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		early.expect(t, "at the end", "one\ntwo\nthree", true)
		late.expect(t, "at the end", "one\ntwo\nthree", true)
		resumed.expect(t, "at the end", "e\ntwo\nthree", true)
		ahead.expect(t, "at the end", "o\nthree", true)
		if took := time.Since(begin); took != 0 {
			t.Errorf("followers waited %s for what was there", took)
		}
		from(0).expect(t, "after the end", "one\ntwo\nthree", true)
		from(100).expect(t, "behind the end", "", true)
	})
}

func TestFollowersOfAnotherProcessPoll(t *testing.T) {
	d := folder(t)
	synctest.Test(t, func(t *testing.T) {
		var hub buildlog.Hub
		v := watch(t, func(ctx context.Context, v *viewer) error {
			return hub.Follow(ctx, d, "build.log", 0, v, nil)
		})
		v.expect(t, "before there is a log", "", false)
		w, err := buildlog.Create(d, "build.log", 1000) // a writer the hub does not know
		if err != nil {
			t.Fatal(err)
		}
		say(t, w, "one\n")
		v.expect(t, "at once", "", false)
		time.Sleep(time.Second)
		v.expect(t, "a second later", "one\n", false)
		say(t, w, "two\n")
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		v.expect(t, "another second later", "one\ntwo\n", true)
	})
}

func TestFollowEndsWhenTheCallerKnows(t *testing.T) {
	d := folder(t)
	synctest.Test(t, func(t *testing.T) {
		var over atomic.Bool
		follow := func(ctx context.Context, v *viewer) error {
			return buildlog.Follow(ctx, opener(d), 0, v, nil, over.Load)
		}
		v := watch(t, follow)
		w := create(t, d, 1000)
		say(t, w, "the last words of a writer that was killed")
		w.Close()
		over.Store(true)
		time.Sleep(time.Second)
		v.expect(t, "after the crash", "the last words of a writer that was killed", true)
		if err := d.Remove("build.log"); err != nil {
			t.Fatal(err)
		}
		none := watch(t, follow)
		if _, over, err := none.state(); !over || !errors.Is(err, plague.ErrNotFound) {
			t.Errorf("a log that will never be: done %v, %v", over, err)
		}
	})
}

func TestFollowStops(t *testing.T) {
	d := folder(t)
	synctest.Test(t, func(t *testing.T) {
		var hub buildlog.Hub
		say(t, create(t, d, 1000), "text")
		v := watch(t, func(ctx context.Context, v *viewer) error {
			return hub.Follow(ctx, d, "build.log", 0, v, nil)
		})
		v.expect(t, "before it is stopped", "text", false)
		v.stop()
		if _, over, err := v.state(); !over || !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: done %v, %v", over, err)
		}
		gone := errors.New("the browser went away")
		if err := hub.Follow(t.Context(), d, "build.log", 0, writerFunc(func([]byte) (int, error) { return 0, gone }), nil); err != gone {
			t.Errorf("a writer that fails: %v", err)
		}
		if err := hub.Follow(t.Context(), d, "build.log", -1, v, nil); !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("a negative offset: %v", err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestSlowFollowerHoldsUpNobody(t *testing.T) {
	d := folder(t)
	synctest.Test(t, func(t *testing.T) {
		var hub buildlog.Hub
		release := make(chan struct{})
		slow := watch(t, func(ctx context.Context, v *viewer) error {
			return hub.Follow(ctx, d, "build.log", 0, writerFunc(func(p []byte) (int, error) {
				<-release
				return v.Write(p)
			}), nil)
		})
		quick := watch(t, func(ctx context.Context, v *viewer) error {
			return hub.Follow(ctx, d, "build.log", 0, v, nil)
		})
		w, err := hub.Writer(d, "build.log", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for i := range 1000 {
			line := fmt.Sprintf("line %d of a build that talks\n", i)
			all.WriteString(line)
			say(t, w, line)
			if i == 0 {
				slow.expect(t, "while its client does not read", "", false)
			}
		}
		quick.expect(t, "beside a slow one", all.String(), false)
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		quick.expect(t, "at the end", all.String(), true)
		slow.expect(t, "at the end", "", false)
		close(release)
		slow.expect(t, "once its client reads", all.String(), true)
	})
}

// Outside of a bubble, with real threads: no wake-up is lost and no byte doubled.
func TestManyFollowers(t *testing.T) {
	d := folder(t)
	var hub buildlog.Hub
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&all, "line %d\n", i)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			var got bytes.Buffer
			offset := int64(i * 7)
			if err := hub.Follow(ctx, d, "build.log", offset, &got, nil); err != nil || got.String() != all.String()[offset:] {
				t.Errorf("from %d on: %d bytes of %d, %v", offset, got.Len(), all.Len(), err)
			}
		})
	}
	w, err := hub.Writer(d, "build.log", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(all.String()) {
		say(t, w, line)
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}
