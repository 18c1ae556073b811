package builder_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"plague"
)

// What no orders name is kept for a week, or an hour while the disk is short;
// what they name, and what runs, for ever. Rule 2 of the design.
func TestExpire(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name    string
		short   bool
		takes   time.Duration
		between func(r *rig, d *daemon) // of the boot and the look
		kept    bool
	}{
		{"six days", false, time.Minute, func(*rig, *daemon) { time.Sleep(6 * day) }, true},
		{"eight days", false, time.Minute, func(*rig, *daemon) { time.Sleep(8 * day) }, false},
		{"named every day", false, time.Minute, func(r *rig, d *daemon) {
			for i := range 20 {
				time.Sleep(day)
				d.sync(r, at(1, int64(i+2), order(1, plague.VerbRun)))
			}
		}, true},
		{"it runs", false, 30 * day, func(*rig, *daemon) { time.Sleep(8 * day) }, true},
		{"short, half an hour", true, time.Minute, func(*rig, *daemon) { time.Sleep(30 * time.Minute) }, true},
		{"short, two hours", true, time.Minute, func(*rig, *daemon) { time.Sleep(2 * time.Hour) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stopAll()
				r.backend = takes(tt.takes)
				d := r.mustBoot()
				d.sync(r, at(1, 1, run(1)))
				time.Sleep(10 * time.Minute)
				if tt.short {
					d.stop()
					r.minFree = 1 << 60
					d = r.mustBoot()
				}
				defer func() { d.stop() }()
				tt.between(r, d)
				left, err := os.ReadDir(filepath.Join(r.dir, "attempts"))
				if kept := said(d.Report(), 1) != nil; kept != tt.kept || err != nil || (len(left) == 1) != tt.kept {
					t.Errorf("kept: %v, on the disk %v (%v); want %v", kept, left, err, tt.kept)
				}
			})
		})
	}
}
