package bench

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"plague"
)

func TestQuantile(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(99-i)*time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: 0, 0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 1: 99 * time.Millisecond} {
		if got := quantile(all, q); got != want {
			t.Errorf("quantile %g is %s, not %s", q, got, want)
		}
	}
	if all[0] != 99*time.Millisecond {
		t.Error("it has sorted what it was given")
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %s", got)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	err := Table(&b, []Figure{
		{What: "submit", Value: map[string]float64{"p99": 2.049, "p50": 1, "n": 60}, Unit: "ms", Aim: "15", Peers: "Koji 22,000"},
		{What: "rate", Value: map[string]float64{"": 1234.5}, Unit: "/s"},
	})
	if want := "p50 1, p99 2.05 ms of 60  15   Koji 22,000"; err != nil || !strings.Contains(b.String(), want) || !strings.Contains(b.String(), "1234 /s") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

// What nobody measures is refused before a farm is made, and a farm that cannot
// be made is the measurement's error.
func TestRun(t *testing.T) {
	made := 0
	b := Bench{Log: slog.New(slog.DiscardHandler), Make: func(context.Context, Shape) (*Farm, error) {
		made++
		return nil, errors.New("no room")
	}}
	if _, err := b.Run(t.Context(), []string{"speed"}); !errors.Is(err, plague.ErrInvalid) || made != 0 {
		t.Errorf("%v, %d farms", err, made)
	}
	if _, err := b.Run(t.Context(), []string{"disk"}); err == nil || !strings.Contains(err.Error(), "no room") || made != 1 {
		t.Errorf("%v, %d farms", err, made)
	}
}
