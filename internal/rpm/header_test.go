package rpm_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"plague/internal/rpm"
)

// query is what describe prints, in rpm's own words.
const query = `name %{NAME}
epoch %{EPOCHNUM}
version %{VERSION}
release %{RELEASE}
summary %{SUMMARY}
license %{LICENSE}
vendor %{VENDOR}
buildtime %{BUILDTIME}
size %{SIZE}
sourcerpm %{SOURCERPM}
payload %{PAYLOADDIGEST}
[buildarch %{BUILDARCHS}\n][exclusive %{EXCLUSIVEARCH}\n][exclude %{EXCLUDEARCH}\n][requires %{REQUIRENAME} [%{REQUIREFLAGS:depflags}] %{REQUIREVERSION} %{REQUIREFLAGS}
][provides %{PROVIDENAME} [%{PROVIDEFLAGS:depflags}] %{PROVIDEVERSION} %{PROVIDEFLAGS}
]`

func describe(h *rpm.Header) string {
	var b strings.Builder
	none := func(s string) string {
		if s == "" {
			return "(none)"
		}
		return s
	}
	n := h.NEVRA()
	fmt.Fprintf(&b, "name %s\nepoch %d\nversion %s\nrelease %s\n", n.Name, n.Epoch, n.Version, n.Release)
	fmt.Fprintf(&b, "summary %s\nlicense %s\nvendor %s\n", h.Summary, h.License, none(h.Vendor))
	fmt.Fprintf(&b, "buildtime %d\nsize %d\nsourcerpm %s\npayload %s\n",
		h.BuildTime.Unix(), h.Size, none(h.SourceRPM()), h.PayloadDigest)
	for _, l := range []struct {
		name string
		list []string
	}{{"buildarch", h.BuildArchs()}, {"exclusive", h.ExclusiveArch()}, {"exclude", h.ExcludeArch()}} {
		for _, arch := range l.list {
			fmt.Fprintf(&b, "%s %s\n", l.name, arch)
		}
	}
	for _, l := range []struct {
		name string
		list []rpm.Dependency
	}{{"requires", h.Requires()}, {"provides", h.Provides()}} {
		for _, d := range l.list {
			fmt.Fprintf(&b, "%s %s [%s] %s %d\n", l.name, d.Name, d.Flags, d.EVR, d.Sense)
		}
	}
	return b.String()
}

func TestHeaderSaysWhatRPMSays(t *testing.T) {
	want := map[string][]string{
		specFull: {"plague-try-1.2~rc1-4^git5.src.rpm", "plague-try-1.2~rc1-4^git5.x86_64.rpm",
			"plague-try-devel-1.2~rc1-4^git5.x86_64.rpm", "plague-try-doc-1.2~rc1-4^git5.noarch.rpm"},
		specNoarch: {"plague-noarch-0-0.1.noarch.rpm", "plague-noarch-0-0.1.src.rpm"},
		specIX86:   {"plague-ix86-1-1.i686.rpm", "plague-ix86-1-1.src.rpm"},
	}
	for spec, names := range want {
		var args []string
		switch spec {
		case specIX86:
			args = []string{"--target", "i686"}
		case specFull:
			args = []string{"--target", "x86_64"}
		}
		files := build(t, spec, args...)
		if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
			t.Fatalf("rpmbuild wrote %q", got)
		}
		for name, path := range files {
			checkFile(t, name, path)
		}
	}
}

func checkFile(t *testing.T, name, path string) {
	t.Helper()
	whole := read(t, path)
	h, err := rpm.Verify(bytes.NewReader(whole))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	// The quotes keep rpm's own brackets apart from those of the format.
	format := strings.ReplaceAll(query, " [%{", ` \[%{`)
	format = strings.ReplaceAll(format, "depflags}]", `depflags}\]`)
	if got, want := describe(h), run(t, t.TempDir(), "rpm", "-qp", "--qf", format, path); got != want {
		t.Errorf("%s: we read\n%s\nrpm reads\n%s", name, got, want)
	}
	if got := h.NEVRA().Filename(); got != name {
		t.Errorf("the file name is %s, want %s", got, name)
	}
	if h.IsSource() != strings.HasSuffix(name, ".src.rpm") {
		t.Errorf("%s: IsSource is %v", name, h.IsSource())
	}
	if h.Signed {
		t.Errorf("%s is signed, and nobody has signed it", name)
	}
	if sum := sha256.Sum256(whole[h.PayloadOffset:]); fmt.Sprintf("%x", sum) != h.PayloadDigest {
		t.Errorf("%s: the payload does not begin at %d", name, h.PayloadOffset)
	}
	in := bytes.NewReader(whole)
	if _, err := rpm.ReadHeader(in); err != nil || in.Len() != len(whole)-int(h.PayloadOffset) {
		t.Errorf("%s: ReadHeader left %d bytes: %v", name, in.Len(), err)
	}
}

func TestBuildRequiresOfASource(t *testing.T) {
	h, err := rpm.Verify(bytes.NewReader(read(t, build(t, specFull)["plague-try-1.2~rc1-4^git5.src.rpm"])))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range h.Requires() {
		if !d.RPMLib() {
			got = append(got, d.String())
		}
	}
	if want := []string{"(sed or awk)", "/bin/sh", "bash >= 1.0"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("BuildRequires are %q, want %q", got, want)
	}
	if len(got) == len(h.Requires()) {
		t.Error("no requirement is marked as rpm's own")
	}
}

func TestNosrc(t *testing.T) {
	spec := "Source0: secret.tar\nNoSource: 0\n" + strings.TrimSpace(specNoarch)
	for name, path := range build(t, spec) {
		h, err := rpm.Verify(bytes.NewReader(read(t, path)))
		if err != nil {
			t.Fatal(err)
		}
		if h.NEVRA().Filename() != name {
			t.Errorf("the file name is %s, want %s", h.NEVRA().Filename(), name)
		}
	}
}

func TestSignedFile(t *testing.T) {
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Skip("gpg is not installed")
	}
	home, path := t.TempDir(), build(t, specNoarch)["plague-noarch-0-0.1.src.rpm"]
	t.Cleanup(func() { run(t, home, "gpgconf", "--kill", "all") })
	run(t, home, "gpg", "--batch", "--passphrase", "", "--quick-gen-key", "try@example.com", "rsa2048", "sign", "never")
	run(t, home, "rpmsign", "--addsign", "--define", "__gpg "+gpg, "--define", "_gpg_name try@example.com", path)
	h, err := rpm.Verify(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if !h.Signed {
		t.Error("a signed file is not seen as signed")
	}
}

func BenchmarkReadHeader(b *testing.B) {
	whole := read(b, build(b, specFull)["plague-try-1.2~rc1-4^git5.src.rpm"])
	in := bytes.NewReader(nil)
	for b.Loop() {
		in.Reset(whole)
		if _, err := rpm.ReadHeader(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, path := range build(b, specFull, "--target", "x86_64") {
		if name != "plague-try-1.2~rc1-4^git5.x86_64.rpm" {
			continue
		}
		whole := read(b, path)
		b.SetBytes(int64(len(whole)))
		for b.Loop() {
			if _, err := rpm.Verify(io.LimitReader(bytes.NewReader(whole), 1<<30)); err != nil {
				b.Fatal(err)
			}
		}
	}
}
