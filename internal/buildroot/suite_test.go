package buildroot_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/buildroot"
)

// The tests of this file hold for every backend that builds.
func each(t *testing.T, test func(t *testing.T, f *farm)) {
	t.Run("native", func(t *testing.T) { test(t, newFarm(t)) })
	t.Run("mock", func(t *testing.T) { test(t, newMockFarm(t)) })
}

// TestBuilds builds genuine packages one after the other, as a builder does.
func TestBuilds(t *testing.T) {
	each(t, func(t *testing.T, f *farm) {
		for _, tt := range []struct {
			name string
			rpms int
		}{{"tree", 1}, {"tree", 1}, {"tzdata", 1}, {"lua", 4}} {
			r := f.good(t, f.spec(t, tt.name))
			if len(r.RPMs) != tt.rpms {
				t.Errorf("%s made %q, want %d RPMs", tt.name, r.RPMs, tt.rpms)
			}
			for _, name := range r.RPMs {
				if !nevra.MatchString(name) {
					t.Errorf("%s made %q", tt.name, name)
				}
				says := command(t, nil, "rpm", "-qp", "--qf", "%{vendor}|%{buildhost}", filepath.Join(r.out, name))
				if says != "The farm of tests|builder.test" {
					t.Errorf("%s says of itself %q", name, says)
				}
			}
			if want := []string{"prepping", "building", "cleanup"}; !slices.Equal(r.phases, want) {
				t.Errorf("phases of %s are %q", tt.name, r.phases)
			}
			if log, err := os.ReadFile(filepath.Join(r.out, buildroot.InstalledLog)); err != nil || len(log) == 0 {
				t.Errorf("what was installed is not told: %q, %v", log, err)
			}
			t.Logf("%s: %%build after %.3f s, whole %.3f s", tt.name, r.toBuild.Seconds(), r.total.Seconds())
		}
	})
}

// failing is a build that fails.
type failing struct {
	name, srpm string
	change     func(s *buildroot.Spec)
	kind       plague.FailureKind
	phase      plague.Phase
	says       []string
	log        func(r *run) string
	logSays    string
}

func TestFailures(t *testing.T) {
	notRPM := filepath.Join(t.TempDir(), "not.src.rpm")
	if err := os.WriteFile(notRPM, []byte("not an RPM"), 0o644); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, f *farm) {
		f.fails(t, []failing{
			{name: "compiler", srpm: "bad-build", kind: plague.FailurePackage, phase: plague.PhaseBuilding, says: []string{"%build failed"},
				log: func(r *run) string { return r.build.String() }, logSays: "tree.c"},
			{name: "check", srpm: "bad-check", kind: plague.FailurePackage, phase: plague.PhaseBuilding, says: []string{"%check failed"},
				log: func(r *run) string { return r.build.String() }, logSays: "check: 1 of 1 failed"},
			{name: "unmet", srpm: "bad-unmet", kind: plague.FailurePackage, phase: plague.PhasePrepping,
				says: []string{"nonesuch-devel >= 99", "pkgconfig(nonesuch)"},
				log:  func(r *run) string { return r.root.String() }, logSays: "nonesuch-devel >= 99"},
			{name: "hang", srpm: "bad-hang", kind: plague.FailurePackage, phase: plague.PhaseBuilding, says: []string{"time-out"},
				change: func(s *buildroot.Spec) { s.Limits.Wall = 5 * time.Second },
				log:    func(r *run) string { return r.build.String() }, logSays: "hanging"},
			{name: "not an RPM", srpm: notRPM, kind: plague.FailurePackage, phase: plague.PhasePrepping, says: []string{"cannot be read"}},
			{name: "no server", srpm: "tree", kind: plague.FailureInfrastructure, phase: plague.PhasePrepping,
				change: func(s *buildroot.Spec) { s.Repos[0].URL = "http://127.0.0.1:9/none" }, says: []string{"Failed to download metadata"}},
		})
	})
}

// fails builds what must fail as it says.
func (f *farm) fails(t *testing.T, tests []failing) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := f.spec(t, tt.srpm)
			if tt.change != nil {
				tt.change(&s)
			}
			r := f.build(t.Context(), t, s)
			if r.err != nil || r.Failure == nil {
				t.Fatalf("%v, %+v", r.err, r.Result)
			}
			if r.Failure.Kind != tt.kind || r.Failure.Phase != tt.phase {
				t.Errorf("failure is %+v, want %s in %s", *r.Failure, tt.kind, tt.phase)
			}
			for _, say := range tt.says {
				if !strings.Contains(r.Failure.Message, say) {
					t.Errorf("%q does not say %q", r.Failure.Message, say)
				}
			}
			if tt.log != nil && !strings.Contains(tt.log(r), tt.logSays) {
				t.Errorf("the log does not say %q:\n%s", tt.logSays, end(tt.log(r)))
			}
			if left, err := filepath.Glob(filepath.Join(r.out, "*.rpm")); err != nil || len(left) > 0 || len(r.RPMs) > 0 {
				t.Errorf("there are results: %v, %v", left, err)
			}
		})
	}
}

func TestKilled(t *testing.T) {
	each(t, func(t *testing.T, f *farm) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		why := errors.New("a person said so")
		s := f.spec(t, "bad-hang")
		var out bytes.Buffer
		b, work := f.backend(t, s)
		_, err := b.Build(ctx, s, buildroot.Log{Root: &out, Job: &out, Build: writer(func(p []byte) {
			if bytes.Contains(p, []byte("hanging")) {
				cancel(why)
			}
		})}, t.TempDir(), func(string) {})
		if !errors.Is(err, why) {
			t.Errorf("a killed build gives %v\n%s", err, out.String())
		}
		if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
			t.Errorf("the work folder still holds %v, %v", left, err)
		}
	})
}

// TestOwnRepository: what the target's own repository has, behind the farm's CA, is
// there for its next builds.
func TestOwnRepository(t *testing.T) {
	each(t, func(t *testing.T, f *farm) {
		own := repository(t, "own", map[string]string{"own-thing": "BuildArch: noarch\n%description\nMade here.\n%files\n"})
		own.Own = true
		s := f.spec(t, source(t, "wants", "BuildArch: noarch\nBuildRequires: own-thing\n%description\nWants it.\n%files\n"))
		if r := f.build(t.Context(), t, s); r.Failure == nil || !strings.Contains(r.Failure.Message, "nothing provides own-thing") {
			t.Errorf("without the repository: %v, %+v", r.err, r.Failure)
		}
		s.Repos = append(s.Repos, own)
		f.good(t, s)
		s.Repos[1].CACert = "" // nobody vouches for its server
		if r := f.build(t.Context(), t, s); r.Failure == nil || r.Failure.Kind != plague.FailureInfrastructure {
			t.Errorf("with a stranger's server: %v, %+v", r.err, r.Failure)
		}
	})
}
