package buildroot

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"plague/internal/rpm"
)

// Backends of a builder.
const (
	BackendMock   = "mock"
	BackendNative = "native"
)

// A BuilderTarget is what a target file of a builder says: for which orders it is, and
// what they are built with. Empty fields fit any order.
type BuilderTarget struct {
	Distro, Target, Repo string
	Arch                 string // of the buildroot
	Config               string // mock's configuration; default as Roots does it
	Backend              string // default as Roots does it
}

// Roots chooses how orders are built, and with which configuration of mock. The first
// target that fits decides; beside them the rule is that of 2005.
type Roots struct {
	Backend      string // of what no target file says
	Distro, Repo string // the builder's own; "": what the orders say
	Targets      []BuilderTarget
	Dir          string // where mock has its configurations, such as /etc/mock
}

// BackendOf says what builds a target in a buildroot of an arch.
func (r Roots) BackendOf(target, arch string) string {
	if t := r.find(target, arch); t != nil && t.Backend != "" {
		return t.Backend
	}
	return r.Backend
}

// Mocks says whether anything may be built by mock.
func (r Roots) Mocks() bool {
	for _, t := range r.Targets {
		if t.Backend == BackendMock {
			return true
		}
	}
	return r.Backend == BackendMock
}

// Natives says whether anything may be built natively.
func (r Roots) Natives() bool {
	for _, t := range r.Targets {
		if t.Backend == BackendNative {
			return true
		}
	}
	return r.Backend == BackendNative
}

// Config is the file of mock's configuration for a target and the arch of a
// buildroot: the one that a target file names, else distro-target-arch-repo, where
// distro and repo are the builder's, target and arch those of the orders (README of
// 2005). ia32e and amd64 have no configuration of their own.
func (r Roots) Config(target, arch string) (string, error) {
	if rpm.Family(arch) == "x86_64" {
		arch = "x86_64"
	}
	name := ""
	if t := r.find(target, arch); t != nil {
		name = t.Config
	}
	if filepath.IsAbs(name) { // the administrator's; orders never say where
		return name, nil
	}
	if name == "" {
		middle, ok := middleOf(target, r.Distro, r.Repo)
		if !ok {
			return "", fmt.Errorf("this builder is for targets of distro %q and repo %q, and %s is none", r.Distro, r.Repo, target)
		}
		distro, repo := cmp.Or(r.Distro, firstOf(target)), cmp.Or(r.Repo, lastOf(target))
		name = strings.Join([]string{distro, middle, arch, repo}, "-")
	}
	if !rootName.MatchString(name) {
		return "", fmt.Errorf("%q cannot name a configuration of mock", name)
	}
	return filepath.Join(r.Dir, strings.TrimSuffix(name, ".cfg")+".cfg"), nil
}

// ByTarget builds each target with what it is to be built with.
type ByTarget struct {
	Native *Native
	Mock   *Mock
}

// Build is that of Native or Mock.
func (b ByTarget) Build(ctx context.Context, spec Spec, log Log, out string, phase func(string)) (Result, error) {
	if b.Mock.Roots.BackendOf(spec.Target, spec.root()) == BackendMock {
		return b.Mock.Build(ctx, spec, log, out, phase)
	}
	return b.Native.Build(ctx, spec, log, out, phase)
}

var rootName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)

func (r Roots) find(target, arch string) *BuilderTarget {
	for i, t := range r.Targets {
		middle, ok := middleOf(target, t.Distro, t.Repo)
		if ok && (t.Target == "" || t.Target == middle) && (t.Arch == "" || t.Arch == arch) {
			return &r.Targets[i]
		}
	}
	return nil
}

// middleOf takes distro and repo off the name distro-target-repo. Where they are not
// given they are what stands before the first hyphen and after the last.
func middleOf(name, distro, repo string) (target string, ok bool) {
	rest, ok := strings.CutPrefix(name, cmp.Or(distro, firstOf(name))+"-")
	if !ok {
		return "", false
	}
	target, ok = strings.CutSuffix(rest, "-"+cmp.Or(repo, lastOf(name)))
	return target, ok && target != ""
}

func firstOf(name string) string { first, _, _ := strings.Cut(name, "-"); return first }

func lastOf(name string) string { return name[strings.LastIndexByte(name, '-')+1:] }
