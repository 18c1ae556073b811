package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"plague"
)

// TestCondemned: what something names is never given to be deleted; the rest
// is after its notice, unless somebody has spared it.
func TestCondemned(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		uid := f.submit(newJob("ethtool", "1.8"))
		f.done(uid, "x86_64")
		f.publish()
		files, err := f.Files(f.ctx, uid, 1)
		f.must(err)
		up, loose, other := digest("upload"), digest("loose"), digest("other")
		f.must(f.AddUpload(f.ctx, f.now, "dev@example.com", up, 1))
		all := []string{newJob("ethtool", "1.8").SRPM, up, loose, other}
		for _, file := range files {
			all = append(all, file.Digest)
		}
		noticed := f.now
		f.must(f.Condemn(f.ctx, f.term, noticed, all))
		f.wantDeleting(noticed)
		f.must(f.Condemn(f.ctx, f.term, f.later(time.Hour), all)) // they were noticed before
		f.must(f.Spare(f.ctx, []string{other, up}))
		f.wantDeleting(f.now, loose)

		f.must(f.Spare(f.ctx, []string{other}))
		f.refused(f.Spare(f.ctx, []string{other, loose}), plague.ErrUnavailable, "being deleted")
		f.term, err = f.Acquire(f.ctx, "test", time.Hour) // its leader dies
		f.must(err)
		f.wantDeleting(noticed, loose)
		f.must(f.Deleted(f.ctx, []string{loose}))
		f.must(f.Spare(f.ctx, []string{loose}))
		f.wantDeleting(f.now)

		for d, want := range map[string]bool{digest("bad"): true, up: false, files[0].Digest: false} {
			got, err := f.Discard(f.ctx, f.now, d)
			f.must(err)
			if got != want {
				t.Errorf("%s discarded: %v", d, got)
			}
		}
		f.must(f.Spare(f.ctx, all))
		f.refused(f.Spare(f.ctx, []string{digest("bad")}), plague.ErrUnavailable, "being deleted")
		f.wantDeleting(noticed, digest("bad")) // should its server die in between
	})
}

func (f *farm) wantDeleting(before time.Time, want ...string) {
	f.t.Helper()
	if got, err := f.Deleting(f.ctx, f.term, before, 10); err != nil || !slices.Equal(got, want) {
		f.t.Errorf("to be deleted: %v, %v, want %v", got, err, want)
	}
}

// TestDeletingAgainstUpload: whoever spares an artifact, looks whether it is
// there and names it, has it, whatever is deleted in the same moment.
func TestDeletingAgainstUpload(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		var disk sync.Map
		refused := 0
		for i := range rounds * 5 {
			d := digest(fmt.Sprint(i))
			disk.Store(d, true)
			f.must(f.Condemn(f.ctx, f.term, f.now, []string{d}))
			errs := together(
				func() error {
					if err := f.Spare(f.ctx, []string{d}); err != nil {
						return err
					}
					disk.LoadOrStore(d, true)
					return f.AddUpload(f.ctx, f.now, "dev@example.com", d, 1)
				},
				func() error {
					dying, err := f.Deleting(f.ctx, f.term, f.now.Add(time.Second), 10)
					for _, d := range dying {
						disk.Delete(d)
					}
					if err != nil {
						return err
					}
					return f.Deleted(f.ctx, dying)
				},
			)
			f.must(errs[1])
			if errs[0] != nil {
				f.refused(errs[0], plague.ErrUnavailable, "being deleted")
				refused++
			}
			if _, there := disk.Load(d); there != (errs[0] == nil) {
				t.Fatalf("on the disk: %v, upload: %v", there, errs[0])
			}
		}
		t.Logf("%d of %d were refused", refused, rounds*5)
	})
}
