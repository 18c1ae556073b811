package cli

import (
	"fmt"
	"testing"
	"time"
)

// Who knocks all the time keeps out neither others of the same kind, nor, from many
// addresses, those who come by another turnstile.
func TestTurnstile(t *testing.T) {
	start := time.Now()
	knock := func(g *turnstile, who string, at time.Duration) bool {
		leave, err := g.enter(who, start.Add(at))
		if err == nil {
			leave()
		}
		return err == nil
	}
	const second = 1000
	var loud, quiet int
	g := newTurnstile()
	for ms := range 20 * second {
		at := time.Duration(ms) * time.Millisecond
		if ms%5 == 0 && knock(g, "loud", at) {
			loud++
		}
		if ms%second == 0 && knock(g, "quiet", at) {
			quiet++
		}
	}
	if loud < 20 || loud > 20*enterPerAsker+enterPerAsker || quiet != 20 {
		t.Errorf("of 4000 loud knocks %d came in, of 20 quiet ones %d", loud, quiet)
	}
	in := 0
	for i := range 20_000 { // the askers of a botnet are not kept for ever
		if knock(g, fmt.Sprint(i), time.Minute+time.Duration(i)*time.Millisecond) {
			in++
		}
	}
	if in > 20*enterPerSecond+enterPerSecond || len(g.each) > askersKept {
		t.Errorf("%d came in, %d are remembered", in, len(g.each))
	}
	for range enterAtOnce {
		if _, err := g.enter(fmt.Sprint("slow", in), start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		in++
	}
	if knock(g, "late", 2*time.Hour) {
		t.Error("more at a time than there is room for")
	}
}

func TestAsker(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:4711": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7",
		"[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "[fe80::1%eth0]:9": "fe80::/64", "nonsense": "nonsense",
	} {
		if got := asker(remote); got != want {
			t.Errorf("%s is %s, want %s", remote, got, want)
		}
	}
}
