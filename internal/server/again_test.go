package server

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestTroubleIsToldOnceAMinute(t *testing.T) {
	var ts troubles
	now, away := time.Now(), errors.New("the database is away")
	for i, tt := range []struct {
		after  time.Duration
		doing  string
		err    error
		yes    bool
		silent int
	}{
		{0, "planning", away, true, 0},
		{time.Second, "planning", away, false, 0},
		{time.Second, "publishing", away, true, 0},
		{time.Second, "planning", errors.New("the disk is full"), true, 0},
		{2 * time.Second, "planning", fmt.Errorf("%w", away), false, 0},
		{oftenEnough, "planning", away, true, 2},
		{oftenEnough + time.Second, "planning", away, false, 0},
		{3 * oftenEnough, "planning", away, true, 1},
		{5 * oftenEnough, "publishing", away, true, 0},
	} {
		if yes, silent := ts.tell(tt.doing, tt.err, now.Add(tt.after)); yes != tt.yes || silent != tt.silent {
			t.Errorf("%d: told %v, %d silent before, not %v, %d", i, yes, silent, tt.yes, tt.silent)
		}
	}
	if len(ts.told) != 1 {
		t.Errorf("%d troubles are remembered that are over", len(ts.told)-1)
	}
}
