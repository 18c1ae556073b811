package server

import (
	"context"
	"maps"
	"sync"
	"time"
)

// oftenEnough is how often the same trouble is told while it lasts: what is away
// for an hour must not fill the disk with lines about it.
const oftenEnough = time.Minute

// troubles remembers what was told of late. The zero value is ready.
type troubles struct {
	mu   sync.Mutex // guards the field below
	told map[trouble]*telling
}

type trouble struct{ doing, text string }

type telling struct {
	at     time.Time
	silent int // how often it came since
}

// tell says whether a trouble is to be told at now, and how often it came since
// it was told last.
func (t *troubles) tell(doing string, err error, now time.Time) (yes bool, silent int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := trouble{doing, err.Error()}
	if last := t.told[key]; last != nil {
		if now.Sub(last.at) < oftenEnough {
			last.silent++
			return false, 0
		}
		silent = last.silent
	}
	maps.DeleteFunc(t.told, func(_ trouble, one *telling) bool { return now.Sub(one.at) >= oftenEnough })
	if t.told == nil {
		t.told = map[trouble]*telling{}
	}
	t.told[key] = &telling{at: now}
	return true, silent
}

// again logs what failed and will be tried again: at once, and each minute while
// the same fails.
func (s *Server) again(ctx context.Context, doing string, err error) {
	if yes, silent := s.troubles.tell(doing, err, time.Now()); yes {
		s.Log.WarnContext(ctx, "will try again", "doing", doing, "error", err, "times_since", silent)
	}
}
