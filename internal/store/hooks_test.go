package store_test

import (
	"fmt"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// TestHookLife: one server at a time brings events to a hook, each in its turn;
// what came of it is kept, the newest fifty.
func TestHookLife(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		f.submit(newJob("before", "1"))
		first := f.addHook()
		f.submit(newJob("after", "1"))
		last, err := f.LastEvent(f.ctx)
		f.must(err)
		if again := f.addHook(); again != first || last == first {
			t.Fatalf("a restart moved the hook from %d to %d", first, again)
		}

		h := f.claimHook("one")
		if h.Event != last-1 {
			t.Fatalf("a new hook begins after %d, not %d", h.Event, last-1)
		}
		if other, err := f.ClaimHook(f.ctx, f.now, "releng", "two", time.Minute); err != nil || other != nil {
			t.Fatalf("two servers have it: %v, %v", other, err)
		}
		f.claimHook("one") // its own lease goes on
		f.must(f.HookLater(f.ctx, h, "one", f.now.Add(time.Minute), &store.Answer{Event: last, At: f.now, Took: time.Second, Status: 503, Error: "503"}))
		if early, err := f.ClaimHook(f.ctx, f.now, "releng", "two", time.Minute); err != nil || early != nil {
			t.Fatalf("not due: %v, %v", early, err)
		}
		f.later(time.Minute)
		h = f.claimHook("two")
		if h.Tries != 1 {
			t.Errorf("tries: %d", h.Tries)
		}
		f.refused(f.Delivered(f.ctx, h, "one", last, nil), plague.ErrConflict)
		f.must(f.Delivered(f.ctx, h, "two", last, &store.Answer{Event: last, At: f.now, Status: 204}))
		f.refused(f.Delivered(f.ctx, h, "two", last, nil), plague.ErrConflict)
		as, err := f.HookAnswers(f.ctx, "releng")
		f.must(err)
		if len(as) != 2 || as[0].Status != 204 || as[1].Status != 503 || as[1].Took != time.Second || as[1].Error != "503" {
			t.Errorf("answers: %+v", as)
		}
		f.must(f.ReleaseHook(f.ctx, "releng", "two"))
		for i := range 60 {
			h = f.claimHook("one")
			f.must(f.Delivered(f.ctx, h, "one", h.Event+1, &store.Answer{Event: h.Event + 1, At: f.now, Status: 200 + i}))
		}
		if as, err = f.HookAnswers(f.ctx, "releng"); err != nil || len(as) != 50 || as[0].Status != 259 {
			t.Errorf("%d answers, %v, newest %+v", len(as), err, as[0])
		}
	})
}

// TestSkipHook: what could not be delivered in time is passed over, and the
// audit trail says so.
func TestSkipHook(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		f.addHook()
		h := f.claimHook("one")
		f.must(f.SkipHook(f.ctx, f.now, h, "one", h.Event+7, 3))
		hs, err := f.Hooks(f.ctx)
		f.must(err)
		if len(hs) != 1 || hs[0].Event != h.Event+7 {
			t.Errorf("hooks: %+v", hs)
		}
		es, err := f.Events(f.ctx, h.Event, 10)
		f.must(err)
		if want := fmt.Sprintf("3 events after %d, up to %d, were not delivered in time", h.Event, h.Event+7); len(es) != 1 || es[0].What != "hook" || es[0].Text != want {
			t.Errorf("events: %+v", es)
		}
	})
}

func (f *farm) claimHook(who string) *store.Hook {
	f.t.Helper()
	h, err := f.ClaimHook(f.ctx, f.now, "releng", who, time.Minute)
	f.must(err)
	if h == nil {
		f.t.Fatal("the hook is not due")
	}
	return h
}

func (f *farm) addHook() plague.EventID {
	f.t.Helper()
	at, err := f.AddHook(f.ctx, "releng")
	f.must(err)
	return at
}
