package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"plague"
)

// TestRetire: an administrator takes a published package out of the repository that
// dnf sees; design rule 8.
func TestRetire(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 2})
	f.start()
	srpm := tinySRPM(t, "bad", ":")
	bad, good := f.submit(srpm), f.submit(tinySRPM(t, "good", ":"))
	f.until(bad, plague.JobNeedSign)
	f.until(good, plague.JobNeedSign)
	uid := fmt.Sprint(bad)
	powerless := f.newUser("powerless@example.com", "kill_any_job")
	for _, tt := range []struct {
		config string
		args   []string
		code   int
		says   string
	}{
		{powerless, []string{"repo", "retire", uid}, 3, "server_admin"},
		{f.Client, []string{"repo", "retire", "99"}, 4, "99"},
		{f.Client, []string{"repo", "retire", uid, "--why", "two\nlines"}, 2, "in one line"},
		{f.Client, []string{"kill", uid}, 5, "plague repo retire"},
		{f.Client, []string{"repo", "retire", uid, "--why", "eats disks"}, 0, "Job " + uid + " (bad-1-1) retired"},
		{f.Client, []string{"repo", "retire", uid}, 5, "is retired already"},
		{f.Client, []string{"build", "bad", srpm, "devel"}, 5, "bad-1-1"},
	} {
		out, errs, code := f.runAs(tt.config, tt.args...)
		if code != tt.code || !strings.Contains(out+errs, tt.says) {
			t.Errorf("%q: exit %d, want %d with %q\n%s%s", tt.args, code, tt.code, tt.says, out, errs)
		}
	}
	f.wait("the repository without it", func(context.Context) error {
		if got := f.published(); !slices.Equal(got, []string{"good-1-1"}) {
			return fmt.Errorf("it holds %v", got)
		}
		return nil
	})
	out, _, _ := f.run("detail", uid)
	if !strings.Contains(out, "by "+f.User) || !strings.Contains(out, ": eats disks") || !strings.Contains(out, " needsign") {
		t.Errorf("detail says\n%s", out)
	}
	var job struct {
		Snapshot  int64
		RetiredIn int64  `json:"retired_in"`
		RetiredBy string `json:"retired_by"`
	}
	out, _, _ = f.run("detail", "--json", uid)
	if err := json.Unmarshal([]byte(out), &job); err != nil || job.RetiredIn <= job.Snapshot || job.RetiredBy != f.User {
		t.Errorf("%v, retired in %d by %s, came with %d", err, job.RetiredIn, job.RetiredBy, job.Snapshot)
	}
}
