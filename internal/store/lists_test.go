package store_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// TestJobs compares every filter and page with the same choice made in Go.
func TestJobs(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		began := f.now
		var all []plague.Job
		for i := range 24 {
			n := newJob([]string{"a", "b", "c"}[i%3], time.Duration(i).String())
			n.User = []string{"x@example.com", "y@example.com"}[i%2]
			n.Target = []string{target, "lab-13-extras"}[i/12]
			uid := f.submit(n)
			switch i % 4 {
			case 1:
				f.must(f.Kill(f.ctx, f.now, n.User, uid))
			case 2:
				f.begin(uid)
			}
			if i%8 == 5 {
				f.must(f.Requeue(f.ctx, f.later(time.Second), n.User, uid))
				f.must(f.Kill(f.ctx, f.now, n.User, uid))
			}
			j := f.job(uid)
			j.Pin = plague.Pin{}
			all = append(all, j)
			f.later(time.Minute)
		}
		for _, filter := range []store.Filter{
			{}, {User: "x@example.com"}, {User: "x\x00"}, {Package: "b"}, {Package: "b\xff"}, {Target: target}, {Since: began.Add(5 * time.Minute), Until: began.Add(9 * time.Minute)},
			{States: []plague.JobState{plague.JobPrep}}, {States: []plague.JobState{plague.JobWaiting, plague.JobKilled}},
			{States: []plague.JobState{plague.JobKilled, plague.JobPrep}, User: "x@example.com", Package: "c", Target: target},
			{Before: 9}, {After: 9}, {After: 3, Before: 20, States: []plague.JobState{plague.JobWaiting, plague.JobKilled}, User: "y@example.com"},
		} {
			for _, filter.Oldest = range []bool{false, true} {
				for _, filter.Limit = range []int{1, 4, 1000} {
					got, err := f.Jobs(f.ctx, filter)
					f.must(err)
					if want := choose(all, filter); !slices.Equal(uids(got), uids(want)) {
						t.Errorf("%+v: %v, want %v", filter, uids(got), uids(want))
					}
					for _, j := range got {
						want := all[j.UID-1]
						if j.Pin = (plague.Pin{}); j.State != want.State || j.User != want.User || !j.SubmittedAt.Equal(want.SubmittedAt) || !j.QueuedAt.Equal(want.QueuedAt) || !j.EndedAt.Equal(want.EndedAt) {
							t.Errorf("listed %+v\nstored %+v", j, want)
						}
					}
				}
			}
		}
		for _, filter := range []store.Filter{{Before: 99}, {After: 99}} {
			_, err := f.Jobs(f.ctx, filter)
			f.refused(err, plague.ErrNotFound, "there is no job 99")
		}
		js, err := f.JobsIn(f.ctx, plague.JobPrep, 0, 2)
		f.must(err)
		if want := []plague.JobID{3, 7}; !slices.Equal(uids(js), want) {
			t.Errorf("in prep: %v, want %v", uids(js), want)
		}
		js, err = f.JobsIn(f.ctx, plague.JobPrep, 7, 2)
		f.must(err)
		if want := []plague.JobID{11, 15}; !slices.Equal(uids(js), want) {
			t.Errorf("in prep after 7: %v, want %v", uids(js), want)
		}
		counts, err := f.Counts(f.ctx)
		f.must(err)
		if counts[plague.JobWaiting] != 12 || counts[plague.JobKilled] != 6 || counts[plague.JobPrep] != 6 {
			t.Errorf("counts %v", counts)
		}
	})
}

func choose(all []plague.Job, f store.Filter) []plague.Job {
	var chosen []plague.Job
	for _, j := range all {
		if f.User != "" && j.User != f.User || f.Package != "" && j.Package != f.Package || f.Target != "" && j.Target != f.Target ||
			!f.Since.IsZero() && j.SubmittedAt.Before(f.Since) || !f.Until.IsZero() && !j.SubmittedAt.Before(f.Until) ||
			f.Before > 0 && j.UID >= f.Before || f.After > 0 && j.UID <= f.After || len(f.States) > 0 && !slices.Contains(f.States, j.State) {
			continue
		}
		chosen = append(chosen, j)
	}
	if !f.Oldest {
		slices.Reverse(chosen)
	}
	return chosen[:min(len(chosen), f.Limit)]
}

// TestQueue: the planner's queue and the builders' orders.
func TestQueue(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		n := newJob("ethtool", "1.8")
		n.Priority = 7
		uid := f.submit(n)
		as := f.build(uid, "x86_64", "aarch64")
		lost := f.assign(as[0].ID, "b9")
		_, err := f.Back(f.ctx, f.term, f.now, lost, "b9", plague.FailureLost, "lease", 5)
		f.must(err)
		rows, err := f.Queued(f.ctx, 0, 10)
		f.must(err)
		if len(rows) != 2 || rows[0].ID != as[0].ID || rows[0].LastBuilder != "b9" || rows[0].Builder != "" || rows[1].LastBuilder != "" ||
			rows[0].User != n.User || rows[0].Package != "ethtool" || rows[0].Target != target || rows[0].Priority != 7 {
			t.Errorf("queued: %+v", rows)
		}
		if rows, err = f.Queued(f.ctx, as[0].ID, 10); err != nil || len(rows) != 1 || rows[0].ID != as[1].ID {
			t.Errorf("next page: %+v, %v", rows, err)
		}
		a := f.assign(as[1].ID, "b1")
		for _, builder := range []string{"b1", ""} {
			held, err := f.Held(f.ctx, builder)
			f.must(err)
			for i := range held {
				f.must(f.Pin(f.ctx, []*store.HeldRow{&held[i]}))
			}
			if len(held) != 1 || held[0].ID != a.ArchJob || held[0].Token != a.Token || held[0].Attempt != a.Number || held[0].JobRow.UID != uid ||
				held[0].JobRow.SRPM != n.SRPM || !slices.Equal(held[0].JobRow.Pin.Repos, pin.Repos) {
				t.Errorf("held by %q: %+v", builder, held)
			}
		}
		if held, err := f.Held(f.ctx, "b2"); err != nil || len(held) != 0 {
			t.Errorf("held by b2: %+v, %v", held, err)
		}
	})
}

// TestBuilders: what is known of builders is kept, by name.
func TestBuilders(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		b := plague.Builder{Name: "b1", Address: "https://b1:8888", Instance: "i", Alive: true, Arches: []string{"x86_64", "i686"}, Targets: []string{"lab-*"}, Slots: 4, Free: 2, SeenAt: f.now,
			Machine: plague.Machine{Memory: 16 << 30, FreeMemory: 5, FreeDisk: 1 << 50, Load: 1.25, Labels: []string{"big", "ssd"}}}
		f.must(f.NoteBuilder(f.ctx, f.term, f.now, b))
		f.must(f.NoteBuilder(f.ctx, f.term, f.now, plague.Builder{Name: "a2", Suspended: "two instances"}))
		b.Free = 1
		f.must(f.NoteBuilder(f.ctx, f.term, f.now, b))
		f.must(f.NoteBuilder(f.ctx, f.term, f.now, b))
		got, err := f.Builders(f.ctx)
		f.must(err)
		if len(got) != 2 || got[0].Name != "a2" || got[0].Suspended != "two instances" || got[1].Free != 1 || !got[1].Alive || !slices.Equal(got[1].Arches, b.Arches) ||
			!slices.Equal(got[1].Targets, b.Targets) || !reflect.DeepEqual(got[1].Machine, b.Machine) || !got[1].SeenAt.Equal(f.now) {
			t.Errorf("builders: %+v", got)
		}
		f.must(f.DropBuilders(f.ctx, f.term, []string{"a2"}))
		if got, err = f.Builders(f.ctx); err != nil || len(got) != 1 || got[0].Name != "a2" {
			t.Errorf("kept: %+v, %v", got, err)
		}
		f.must(f.DropBuilders(f.ctx, f.term, nil))
		if got, err = f.Builders(f.ctx); err != nil || len(got) != 0 {
			t.Errorf("kept: %+v, %v", got, err)
		}
	})
}
