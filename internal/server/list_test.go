package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// reading is a server with a few jobs of every kind, asked through its door.
type reading struct {
	user *wire.User
	jobs []plague.Job // by submission
}

// asAnn lets ann through the door; there is no network.
type asAnn struct{ door http.Handler }

func (a asAnn) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	a.door.ServeHTTP(w, r.WithContext(wire.WithCaller(r.Context(), "ann@farm")))
	return w.Result(), nil
}

// listEpoch is when the first of them was submitted; one follows each hour.
var listEpoch = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func newReading(tb testing.TB) reading {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	ctx := context.Background()
	db, err := store.Open(ctx, filepath.Join(tb.TempDir(), "farm.db"), store.Options{})
	must(err)
	tb.Cleanup(func() { db.Close() })
	s, err := New(ctx, Config{DB: db, Targets: []plague.Target{
		{Distro: "lab", Target: "12", Repo: "extras", UserAliases: []string{"devel"}}, {Distro: "lab", Target: "13", Repo: "extras"}}})
	must(err)
	must(db.PutUser(ctx, listEpoch, "root@farm", plague.User{Email: "ann@farm"}))
	term, err := db.Acquire(ctx, "here", time.Minute)
	must(err)
	for i := range 40 {
		n := store.NewJob{User: []string{"ann@farm", "bob@farm", "ünal@farm"}[i%3], Package: []string{"a", "b"}[i%2], Source: "s",
			SRPM: fmt.Sprintf("%064x", i+1), SRPMSize: 1, Target: []string{lab, "lab-13-extras"}[i/5%2], Version: fmt.Sprint(i), Release: "1"}
		at := listEpoch.Add(time.Duration(i) * time.Hour)
		must(db.AddUpload(ctx, at, n.User, n.SRPM, 1))
		uid, err := db.Submit(ctx, at, n)
		must(err)
		switch i % 5 {
		case 1, 2:
			must(db.Kill(ctx, at, n.User, uid))
		case 3:
			_, err := db.Begin(ctx, term, at, []plague.JobID{uid})
			must(err)
		}
		if i%5 == 2 {
			must(db.Requeue(ctx, at.Add(1000*time.Hour), n.User, uid))
		}
	}
	jobs, err := db.Jobs(ctx, store.Filter{Oldest: true, Limit: mostRows})
	must(err)
	return reading{jobs: jobs, user: &wire.User{RPC: &xmlrpc.Client{URL: "http://farm" + wire.RPCPath, HTTP: &http.Client{Transport: asAnn{s.UsersDoor()}}}}}
}

// choose is the list that a filter should give; false: it is to be refused.
func (r reading) choose(f wire.ListFilter) ([]plague.JobID, bool) {
	known := func(uid plague.JobID) bool { return uid >= 0 && int(uid) <= len(r.jobs) }
	now := time.Now().Add(aheadAtMost).Unix()
	if f.Maxrows < 0 || f.Since < 0 || f.Until < 0 || f.Since > now || f.Until > now || f.Since > 0 && f.Until > 0 && f.Since >= f.Until ||
		!known(f.Before) || !known(f.After) || f.Target != "" && f.Target != "devel" && f.Target != lab && f.Target != "lab-13-extras" {
		return nil, false
	}
	for _, word := range f.Status {
		if !slices.Contains(plague.JobStates(), plague.JobState(word)) {
			return nil, false
		}
	}
	oldest := false
	for _, order := range f.Orderby {
		order = strings.ToLower(order)
		if !slices.Contains([]string{"uid", "uid asc", "uid desc", "starttime", "starttime desc", "endtime", "endtime desc", "status"}, order) {
			return nil, false
		}
		oldest = oldest || slices.Contains([]string{"uid", "uid asc", "starttime", "endtime"}, order)
	}
	var chosen []plague.JobID
	for _, j := range r.jobs {
		at := j.SubmittedAt.Unix()
		if f.Username != "" && j.User != f.Username || f.Package != "" && j.Package != f.Package || f.Target != "" && j.Target != f.Target && (f.Target != "devel" || j.Target != lab) ||
			f.Since > 0 && at < f.Since || f.Until > 0 && at >= f.Until || f.Before > 0 && j.UID >= f.Before || f.After > 0 && j.UID <= f.After ||
			len(f.Status) > 0 && !slices.Contains(f.Status, string(j.State)) {
			continue
		}
		chosen = append(chosen, j.UID)
	}
	if !oldest {
		slices.Reverse(chosen)
	}
	rows := f.Maxrows
	if rows == 0 {
		rows = usualRows
	}
	return chosen[:min(len(chosen), rows, mostRows)], true
}

// holds asks with a filter, by our call and by that of 2005.
func (r reading) holds(t *testing.T, f wire.ListFilter) {
	t.Helper()
	want, fits := r.choose(f)
	got, err := r.user.Jobs(t.Context(), f)
	if fits != (err == nil) || err != nil && !errors.Is(err, plague.ErrInvalid) && !errors.Is(err, plague.ErrNotFound) {
		t.Fatalf("%+v: %v", f, err)
	}
	var uids []plague.JobID
	for _, j := range got {
		uids = append(uids, j.Uid)
	}
	if !slices.Equal(uids, want) {
		t.Fatalf("%+v lists %v, want %v", f, uids, want)
	}
	answer, old := r.user.RPC.Call(t.Context(), wire.CallListJobs, f)
	if parts, ok := answer.([]any); old != nil || !ok || len(parts) != 3 || (parts[0] == 0) != fits || len(parts[2].([]any)) != len(want) {
		t.Fatalf("%+v: list_jobs answers %v, %v", f, answer, old)
	} else if !fits && parts[1] != err.Error() {
		t.Fatalf("%+v: list_jobs says %q, jobs %q", f, parts[1], err)
	}
}

// TestListRefusals: what no list can be of is refused with what to do about it.
func TestListRefusals(t *testing.T) {
	r := newReading(t)
	now := time.Now().Unix()
	for want, f := range map[string]wire.ListFilter{
		`there is no state "bilding"; did you mean building? the states are waiting, initialize`: {Status: []string{"failed", "bilding"}},
		`there is no state "zzzzzzzzzz"; the states are waiting`:                                 {Status: []string{"zzzzzzzzzz"}},
		`did you mean devel?`: {Target: "devl"},
		`-1 jobs cannot be listed; maxrows is a number from 1 to 1000`: {Maxrows: -1},
		`jobs cannot be ordered by "size"; uid and uid desc are the`:   {Orderby: []string{"size"}},
		`since lies in the future; nothing has been submitted from`:    {Since: now + 3600},
		`until lies in the future; leave it out to list up to now`:     {Until: math.MaxInt64},
		`until lies before 1970; give a later time, or none`:           {Until: math.MinInt64},
		`since (2026-01-02T05:00:00Z) is not before until (2026-01-02T04:00:00Z); exchange them`: {
			Since: listEpoch.Add(2 * time.Hour).Unix(), Until: listEpoch.Add(time.Hour).Unix()},
		`there is no job 99; a page begins at a job that a list has shown`: {Before: 99},
		`there is no job -7; a page begins at a job that a list has shown`: {After: -7},
	} {
		r.holds(t, f)
		if _, err := r.user.Jobs(t.Context(), f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", f, err, want)
		}
	}
	for name, value := range map[string]any{"since": "2h", "status": "failed", "before": "x", "maxrows": 1.5, "package": 7} {
		var fault *xmlrpc.Fault
		if _, err := r.user.RPC.Call(t.Context(), wire.CallJobs, map[string]any{name: value}); !errors.As(err, &fault) || fault.Code != 400 || !strings.Contains(err.Error(), name) {
			t.Errorf("%s of %v: %v", name, value, err)
		}
	}
}

// FuzzListFilter: whatever is asked for, the answer is what the same choice made
// in Go gives, or a refusal; never an internal error.
func FuzzListFilter(f *testing.F) {
	r := newReading(f)
	epoch := listEpoch.Unix()
	f.Add("", "", "", "", "", int64(0), int64(0), int64(0), int64(0), int64(0))
	f.Add("killed,waiting", "uid", "ann@farm", "a", "devel", epoch+3600, epoch+30*3600, int64(30), int64(2), int64(3))
	f.Add("prep", "endtime desc", "ünal@farm", "", "lab-13-extras", int64(0), epoch, int64(0), int64(0), int64(1000))
	f.Add("prep,prep,killed", "uid desc,uid", "", "b' OR '1'='1", lab, epoch+5*3600, int64(0), int64(41), int64(-1), int64(-1))
	f.Add("waiting", "Uid ASC", "%", "\x00", "", int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64), int64(0), int64(math.MaxInt32))
	f.Fuzz(func(t *testing.T, status, orderby, user, pkg, target string, since, until, before, after, maxrows int64) {
		for _, text := range []string{status, orderby, user, pkg, target} {
			if _, err := r.user.RPC.Call(t.Context(), "nobody", text); unspeakable(err) {
				t.Skip() // XML has no word for it
			}
		}
		r.holds(t, wire.ListFilter{Status: words(status), Orderby: words(orderby), Username: user, Package: pkg, Target: target,
			Since: since, Until: until, Before: plague.JobID(before), After: plague.JobID(after), Maxrows: int(maxrows)})
	})
}

// unspeakable says that a call was not even sent.
func unspeakable(err error) bool {
	var f *xmlrpc.Fault
	return err != nil && !errors.As(err, &f)
}

func words(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}
