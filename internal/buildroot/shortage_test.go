package buildroot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plague"
	"plague/internal/sandbox"
)

// What is certain to be for want of memory, and what is not.
func TestShortOfMemory(t *testing.T) {
	group, machine := plague.MeterGroup, plague.MeterProcess
	for _, tt := range []struct {
		name   string
		meter  plague.Meter
		kills  int64
		signal int
		said   string
		want   bool
	}{
		{"the kernel killed of the build", group, 1, 0, "", true},
		{"of the machine, and the build says so", machine, 2, 0, "g++: fatal error: Killed signal terminated program cc1plus", true},
		{"as shells say it", machine, 1, 0, "/var/tmp/rpm-tmp.x: line 33: 4711 Killed                  ./configure", true},
		{"as collect2 does", machine, 1, 0, "collect2: fatal error: ld terminated with signal 9 [Killed]", true},
		{"of the machine, rpmbuild itself", machine, 1, int(syscall.SIGKILL), "", true},
		{"of the machine, but not of the build", machine, 3, 0, "error: SkilledTest failed, UnKilled", false},
		{"the package killed itself", group, 0, 0, "make: *** [Makefile:3: check] Killed", false},
		{"the same without a group", machine, 0, int(syscall.SIGKILL), "Killed", false},
		{"it asked for more than it got", group, 0, 0, "virtual memory exhausted: Cannot allocate memory", false},
	} {
		err := shortOfMemory(sandbox.Result{Signal: tt.signal, Used: sandbox.Used{Meter: tt.meter, Kills: tt.kills}}, tt.said)
		if (err != nil) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
		if f := failure(fmt.Errorf("build: %w", errors.Join(err, nil)), plague.PhaseBuilding); tt.want && (f.Kind != plague.FailureMemory || f.Had <= 0) {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}

// A package that ends rpmbuild is not built five times for it: only the kernel, out of
// memory, is excused.
func TestRpmbuildWasKilled(t *testing.T) {
	for _, tt := range []struct {
		meter plague.Meter
		kills int64
		want  plague.FailureKind
	}{
		{plague.MeterGroup, 0, plague.FailurePackage},
		{plague.MeterProcess, 0, plague.FailurePackage},
		{plague.MeterGroup, 1, plague.FailureMemory},
		{plague.MeterProcess, 1, plague.FailureMemory},
		{"", 0, plague.FailureInfrastructure},
	} {
		b := &build{own: t.TempDir()}
		err := b.verdict(sandbox.Result{Signal: int(syscall.SIGKILL), Used: sandbox.Used{Meter: tt.meter, Kills: tt.kills}}, "")
		if f := failure(err, plague.PhaseBuilding); f.Kind != tt.want {
			t.Errorf("%q, %d: %+v", tt.meter, tt.kills, f)
		}
	}
}

// A full disk is the build's own doing if it filled it.
func TestShortOfDisk(t *testing.T) {
	disk := errors.New("the disk is full")
	for _, tt := range []struct {
		name      string
		err       error
		filled    bool
		used, had int64
		want      plague.FailureKind
	}{
		{"the build filled it", disk, true, 60, 100, plague.FailureDisk},
		{"the supervisor's own write failed, and the build had filled it", fmt.Errorf("copy: %w", syscall.ENOSPC), false, 60, 100, plague.FailureDisk},
		{"others filled it", disk, true, 40, 100, plague.FailureInfrastructure},
		{"it is full, and the build does not mind", disk, false, 60, 100, plague.FailureInfrastructure},
		{"the package is broken", packageTrouble("no"), false, 60, 100, plague.FailurePackage},
	} {
		f := failure(shortOfDisk(tt.err, tt.filled, tt.used, tt.had), plague.PhaseBuilding)
		if f.Kind != tt.want || f.Kind == plague.FailureDisk && f.Had != tt.had {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}

// What files take counts, not what they say, and once for all their names.
func TestDiskUsage(t *testing.T) {
	dir := t.TempDir()
	before := diskUsage(dir)
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte(strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")), os.Symlink("/usr", filepath.Join(dir, "c")),
		os.WriteFile(filepath.Join(dir, "sparse"), nil, 0o600), os.Truncate(filepath.Join(dir, "sparse"), 1<<40)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := diskUsage(dir) - before; got < 1<<20 || got > 1<<20+64<<10 {
		t.Errorf("%d bytes, want 1 MiB and little more", got)
	}
}
