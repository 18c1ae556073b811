package cli

import (
	"errors"
	"testing"
	"time"

	"plague"
)

// TestMoment: what a person may call a time, in a zone that is not UTC.
func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 4, 5, 0, time.FixedZone("east", 2*3600))
	for text, want := range map[string]string{
		"0s": "2026-11-23T15:04:05+02:00", "90m": "2026-11-23T13:34:05+02:00", "3d": "2026-11-20T15:04:05+02:00", "1w": "2026-11-16T15:04:05+02:00",
		"1d12h": "2026-11-22T03:04:05+02:00", "2026-11-23": "2026-11-23T00:00:00+02:00", "2026-11-23 12:00:01": "2026-11-23T12:00:01+02:00",
		"2026-11-23T12:00:00Z": "2026-11-23T14:00:00+02:00", "1970-01-02": "1970-01-02T00:00:00+02:00",
	} {
		at, err := moment(text, now)
		if got := at.In(now.Location()).Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "2", "h", "-2h", "+2h", "1.5h", "2 h", "2h ", "1y", "2hh", "٣d", "2026-13-01", "2026-02-30", "23.11.2026", "now",
		"2026-11-24", "2026-11-23T15:04:06+02:00", "60y", "3000w", "99999999999999999999d", "9223372036854775807s", "1w9223372036854775807w1w", "0001-01-01", "1969-12-31"} {
		if at, err := moment(text, now); !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("%q: %s, %v", text, at, err)
		}
	}
}

// FuzzMoment: whatever is typed is a time between 1970 and now, or refused.
func FuzzMoment(f *testing.F) {
	for _, text := range []string{"2h", "3d", "1w2d3h4m5s", "2026-11-23", "2026-11-23 15:04:05", "2026-11-23T15:04:05.9+14:00", "9223372036854775807w", "00000000000000000000001s"} {
		f.Add(text, int64(1795446245))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		now := time.Unix(max(unix, 1), 0)
		at, err := moment(text, now)
		if err == nil && (at.Unix() < 1 || at.After(now)) || err != nil && !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("%q at %s: %s, %v", text, now, at, err)
		}
		var a ageFlag
		if a.Set(text) == nil && (a.unix < 1 || a.String() != text) {
			t.Errorf("%q is %+v", text, a)
		}
	})
}
