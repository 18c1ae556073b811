package farmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"plague"
	"plague/internal/buildroot"
	"plague/internal/rpm"
	"plague/internal/sandbox"
	"plague/internal/sandbox/sandboxtest"
)

// A Recipe is what it is like to build a package: known to the sandbox that
// builds it, and to those who say how its job must end.
type Recipe struct {
	Fails    string        // arch on which it cannot be built; "*": on any
	Hangs    bool          // never ends by itself
	Noarch   bool          // its RPMs fit every arch
	Doc      bool          // has a noarch subpackage beside
	Steals   string        // makes an RPM of this package's name
	Memory   int64         // bytes that a machine must have
	Infra    int           // attempts of each arch that the machine spoils
	Prepping time.Duration // how long its phases last
	Building time.Duration
}

// backend makes RPMs out of recipes. Its commands run in the fake sandbox,
// which keeps to the contract of the real one; what they leave, they leave only
// while there is power.
type backend struct {
	w      *World
	power  *Power
	lies   bool  // forges RPMs
	memory int64 // of the machine
}

var errMirror = errors.New("a mirror is away")

// Build does what the recipe of the source package says.
func (b *backend) Build(ctx context.Context, s buildroot.Spec, log buildroot.Log, out string, phase func(string)) (buildroot.Result, error) {
	h, err := headerOf(s.SRPM)
	if err != nil {
		return buildroot.Result{Phase: "prepping"}, err
	}
	r, ok := b.w.recipe(h.NEVRA().NVR())
	if !ok {
		return buildroot.Result{Phase: "prepping"}, fmt.Errorf("no recipe for %s", h.NEVRA())
	}
	phase("prepping")
	fmt.Fprintf(log.Root, "attempt %s: buildroot for %s\n", s.ID, s.Root)
	if err := pause(ctx, r.Prepping); err != nil {
		return buildroot.Result{Phase: "prepping"}, err
	}
	if spoiled(s.ID, r) {
		return buildroot.Result{Phase: "prepping"}, errMirror
	}
	phase("building")
	box := sandboxtest.Fake(map[string]sandboxtest.Behaviour{"rpmbuild": b.rpmbuild(h, s, r)})
	res, err := box.Run(ctx, sandbox.Command{
		Layers: []string{"/"}, Work: "work", Binds: []sandbox.Bind{{Source: out, Target: "/out"}},
		Args: []string{"rpmbuild", "-bb"}, Output: log.Build,
	})
	if err == nil && ctx.Err() == nil && b.memory < r.Memory {
		return buildroot.Result{Phase: "building", Failure: &plague.Failure{Kind: plague.FailureMemory, Phase: plague.PhaseBuilding, Message: "out of memory", Had: b.memory}}, nil
	}
	if err == nil && ctx.Err() == nil && !res.OK() {
		return buildroot.Result{Phase: "building", Failure: &plague.Failure{
			Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: fmt.Sprintf("rpmbuild: exit code %d", res.ExitCode)}}, nil
	}
	return buildroot.Result{Phase: "building", Used: plague.Usage{Memory: r.Memory, Meter: plague.MeterGroup}}, err
}

func headerOf(file string) (*rpm.Header, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return rpm.Verify(f)
}

// rpmbuild plays the build.
func (b *backend) rpmbuild(h *rpm.Header, s buildroot.Spec, r Recipe) sandboxtest.Behaviour {
	return func(ctx context.Context, c sandbox.Command) sandbox.Result {
		for i := range 3 {
			fmt.Fprintf(c.Output, "attempt %s: line %d\n", s.ID, i)
			if !sandboxtest.Sleep(ctx, r.Building/3) {
				return sandbox.Result{ExitCode: -1}
			}
		}
		if r.Hangs {
			<-ctx.Done()
		}
		if r.Fails == "*" || r.Fails == s.Root {
			return sandbox.Result{ExitCode: 1}
		}
		source := h.NEVRA().NVR() + ".src.rpm"
		for _, n := range r.makes(h.NEVRA(), s.Arch) {
			name, file := n.Filename(), rpm.Blank{NEVRA: n, SourceRPM: source, BuildHost: "attempt " + s.ID}
			if b.lies && hash(s.ID)%3 == 0 && !b.w.settled() {
				b.w.lied(archJobOf(s.ID))
				name, file = forged(s.ID, n, source)
			}
			if !b.power.On() || os.WriteFile(sandboxtest.Path(c, "/out/"+name), file.Bytes(), 0o644) != nil {
				return sandbox.Result{ExitCode: 1}
			}
		}
		return sandbox.Result{}
	}
}

// makes lists the RPMs that a source package becomes on an arch.
func (r Recipe) makes(src rpm.NEVRA, arch string) []rpm.NEVRA {
	own := rpm.NEVRA{Name: src.Name, EVR: src.EVR, Arch: arch}
	if r.Noarch {
		own.Arch = rpm.Noarch
	}
	all := []rpm.NEVRA{own}
	if r.Doc {
		all = append(all, rpm.NEVRA{Name: src.Name + "-doc", EVR: src.EVR, Arch: rpm.Noarch})
	}
	if r.Steals != "" && r.Steals != src.Name {
		all = append(all, rpm.NEVRA{Name: r.Steals, EVR: src.EVR, Arch: own.Arch})
	}
	return all
}

// spoiled says whether trouble with the machine ends an attempt: the first few
// of each arch job, as the recipe has it.
func spoiled(id string, r Recipe) bool {
	_, number, _ := strings.Cut(id, "-")
	n, err := strconv.Atoi(number)
	return err == nil && n <= r.Infra
}

// archJobOf reads the arch job out of the name that the builder gives a build.
func archJobOf(id string) plague.ArchJobID {
	archJob, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(archJob, 10, 64)
	if err != nil {
		return 0
	}
	return plague.ArchJobID(n)
}
