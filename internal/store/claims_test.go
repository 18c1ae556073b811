package store_test

import (
	"testing"
	"time"

	"plague/internal/store/storetest"
)

// TestUnclaim: a server that was restarted has its downloads at once, and
// nobody else's.
func TestUnclaim(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for _, pkg := range []string{"mine", "another"} {
			a := f.build(f.submit(newJob(pkg, "1")), "x86_64")[0]
			f.end(f.assign(a.ID, "b1"), "b1", nil)
		}
		first := f.claim("this server")
		second := f.claim("the other")
		f.must(f.Unclaim(f.ctx, "this server"))
		if again := f.claim("this server"); again.AttemptID != first.AttemptID {
			t.Errorf("got %v, not %v", again.AttemptID, first.AttemptID)
		}
		d, err := storetest.Only(f.ClaimDownloads(f.ctx, f.now, "this server", time.Minute, 1, 100))
		f.must(err)
		if d != nil {
			t.Errorf("got %v, which is the other's (%v)", d.AttemptID, second.AttemptID)
		}
	})
}
