package rpm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"plague/internal/rpm"
)

// plain are the entries that a binary package needs at least.
func plain() []item {
	return []item{
		text(1000, "a"), text(1001, "1"), text(1002, "1"), text(1022, "noarch"), text(1044, "a-1-1.src.rpm"),
	}
}

// with replaces entries of the same tag, or adds them.
func with(items ...item) []byte {
	all := plain()
	for _, it := range items {
		all = slices.DeleteFunc(all, func(old item) bool { return old.tag == it.tag })
		all = append(all, it)
	}
	return section(63, all...)
}

// patch changes a 32-bit field at an offset.
func patch(b []byte, at int, v uint32) []byte {
	b = bytes.Clone(b)
	binary.BigEndian.PutUint32(b[at:], v)
	return b
}

func TestRefusals(t *testing.T) {
	empty := section(62)
	binaryLead := lead(false)
	main := with()
	file := func(main []byte) []byte { return join(binaryLead, empty, main) }
	last := len(main) - 16 // the trailer of the region
	zeros := strings.Repeat("0", 64)
	for _, c := range []struct {
		what string
		file []byte
		want string // "": accepted
	}{
		{"plain", file(main), ""},
		{"empty", nil, "not an RPM file: it is empty"},
		{"zip", []byte("PK\x03\x04 and so on"), `not an RPM file: it starts with "PK\x03\x04 and"`},
		{"page", []byte("<!DOCTYPE html>"), `not an RPM file: it starts with "<!DOCTYP"`},
		{"three bytes", []byte("\xed\xab\xee"), "truncated: the file ends after 3 bytes, in its lead, which goes on to 96"},
		{"lead only", binaryLead, "truncated: the file ends after 96 bytes, in its signature header, which goes on to 112"},
		{"old format", append([]byte("\xed\xab\xee\xdb\x02\x00"), make([]byte, 90)...), "its lead has format 2"},
		{"no signature header", join(binaryLead, main, main), "does not begin with its region"},
		{"no magic", join(binaryLead, make([]byte, 64), main), "no signature header where it should begin"},
		{"too many entries", join(binaryLead, intro(33, 100), nil), "wants 33 entries (1 to 32)"},
		{"no entries", file(intro(0, 100)), "wants 0 entries"},
		{"too much data", file(intro(5, 64<<20+1)), "67108865 bytes of data"},
		{"4 GiB", file(intro(-1, -1)), "wants 4294967295 entries"},
		{"no region", file(patch(main, 16, 1000)), "main header does not begin with its region"},
		{"region outside", file(patch(main, 24, 1<<30)), "main header does not begin with its region"},
		{"region of nothing", file(patch(main, last+8, 0)), "no valid trailer"},
		{"region of too much", file(patch(main, last+8, uint32(0x100000000-16*7))), "no valid trailer"},
		{"region of a part", file(patch(main, last+8, uint32(0x100000000-16*5))), "is not all of it"},
		{"trailer of another", file(patch(main, last, 62)), "no valid trailer"},
		{"unknown type", file(patch(main, 36, 10)), "tag 1000 with the unknown type 10"},
		{"null type", file(patch(main, 36, 0)), "tag 1000 with the unknown type 0"},
		{"illegal tag", file(patch(main, 32, 63)), "the illegal tag 63"},
		{"no items", file(patch(main, 44, 0)), "tag 1000 with 0 items"},
		{"two of one", file(patch(main, 44, 2)), "tag 1000 with 2 items"},
		{"beyond the end", file(patch(main, 96+8, 1<<31)), "tag 1044 beyond the end"},
		{"in another's data", file(patch(main, 48+8, 0)), "tag 1001 inside the data of another"},
		{"unaligned", file(patch(with(number(1003, 1)), 96+16+8, 21)), "at the unaligned offset 21"},
		{"many numbers", file(patch(with(number(1003, 1)), 96+16+12, 1<<30)), "tag 1003 beyond the end"},
		{"no end of string", file(with(item{1004, 6, 1, "abc"}, item{9999, 7, 1, "x"})), "tag 1004 with a string that does not end"},
		{"tag twice", file(patch(main, 48, 1000)), "tag 1000 twice"},
		{"wrong type", file(with(number(1000, 1))), "tag 1000 with the wrong type 4"},
		{"number as text", file(with(text(1003, "1"))), "tag 1003 with the wrong type 6"},
		{"two epochs", file(with(number(1003, 1, 2))), "tag 1003 with 2 items, more than 1"},
		{"large epoch", file(with(number(1003, 1<<31))), "its epoch 2147483648 is above"},
		{"no name", file(section(63, plain()[1:]...)), `the package name "" is empty`},
		{"path as name", file(with(text(1000, "../../etc/passwd"))), "the package name \"../../etc/passwd\""},
		{"newline in release", file(with(text(1002, "1\n"))), `the release "1\n" has '\n'`},
		{"control in version", file(with(text(1001, "1\x1b[2J"))), `the version`},
		{"path as arch", file(with(text(1022, "x/y"))), `the arch "x/y" has '/'`},
		{"path as source", file(with(text(1044, "../a-1-1.src.rpm"))), "which is no source package"},
		{"binary as source", file(with(text(1044, "a-1-1.noarch.rpm"))), "which is no source package"},
		{"binary that is src", file(with(text(1022, "src"))), "its arch is src"},
		{"long", file(with(text(1000, strings.Repeat("a", 150)), text(1001, strings.Repeat("1", 100)))), "more than 220"},
		{"path in ExclusiveArch", file(with(texts(1061, "x86_64", "../x"))), `the arch "../x"`},
		{"lead says source", join(lead(true), empty, main), "disagree on whether it is a source package"},
		{"lead says binary", file(section(63, plain()[:4]...)), "disagree on whether it is a source package"},
		{"source", join(lead(true), empty, section(63, plain()[:4]...)), ""},
		{"names without flags", file(with(texts(1049, "a", "b"), texts(1050, "", ""))), "2 names in tag 1049 and 0 items in tag 1048"},
		{"flags without names", file(with(number(1112, 1))), "0 names in tag 1047 and 1 items in tag 1112"},
		{"wrong SHA-256", join(binaryLead, section(62, text(273, zeros)), main), "the SHA-256 of the main header"},
		{"wrong SHA-1", join(binaryLead, section(62, text(269, zeros[:40])), main), "the SHA-1 of the main header"},
		{"small size", join(binaryLead, section(62, number(1000, 5)), main), "the impossible size 5"},
		{"size as text", join(binaryLead, section(62, text(1000, "5")), main), "tag 1000 with the wrong type 6"},
	} {
		_, err := rpm.ReadHeader(bytes.NewReader(c.file))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if !errors.Is(err, rpm.ErrNotRPM) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.what, err, c.want)
		}
	}
}

func TestVerifyRefusals(t *testing.T) {
	main := with()
	sized := func(n int) []byte { return section(62, number(1000, uint32(len(main)+n))) }
	digest := with(texts(5092, strings.Repeat("0", 64)), number(5093, 8))
	for _, c := range []struct {
		what            string
		signature, main []byte
		want            string // "": accepted
	}{
		{"size fits", sized(7), main, ""},
		{"too short", sized(8), main, "truncated: the file ends after"},
		{"too long", sized(6), main, "it goes on behind its payload of 6 bytes"},
		{"nothing to check by", section(62), main, "neither the size nor a digest"},
		{"wrong digest", section(62), digest, "the SHA-256 of its payload"},
		{"unknown digest", section(62), with(texts(5092, "0"), number(5093, 1)), "unknown algorithm 1"},
	} {
		_, err := rpm.Verify(strings.NewReader(string(join(lead(false), c.signature, c.main)) + "payload"))
		if c.want == "" && err == nil {
			continue
		}
		if c.want == "" || !errors.Is(err, rpm.ErrNotRPM) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

// TestTroubleIsNotContent keeps a failing disk from being told as a bad file.
func TestTroubleIsNotContent(t *testing.T) {
	whole := read(t, source(t, specNoarch))
	trouble := errors.New("input/output error")
	for at := 0; at < len(whole); at += 100 {
		_, err := rpm.Verify(io.MultiReader(bytes.NewReader(whole[:at]), iotest.ErrReader(trouble)))
		if !errors.Is(err, trouble) || errors.Is(err, rpm.ErrNotRPM) {
			t.Fatalf("trouble at %d: %v", at, err)
		}
	}
	if _, err := rpm.Verify(iotest.OneByteReader(bytes.NewReader(whole))); err != nil {
		t.Errorf("read byte by byte: %v", err)
	}
}

func TestTruncated(t *testing.T) {
	whole := read(t, build(t, specFull, "--target", "x86_64")["plague-try-1.2~rc1-4^git5.x86_64.rpm"])
	h, err := rpm.Verify(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	cuts := []int{1, 95, 96, 111, 112, int(h.PayloadOffset) - 1, int(h.PayloadOffset), len(whole) - 1}
	for cut := 1000; cut < len(whole); cut += 1000 {
		cuts = append(cuts, cut)
	}
	for _, cut := range cuts {
		_, err := rpm.Verify(bytes.NewReader(whole[:cut]))
		want := fmt.Sprintf("truncated: the file ends after %d bytes", cut)
		if !errors.Is(err, rpm.ErrNotRPM) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("cut at %d: %v", cut, err)
		}
		if _, err := rpm.ReadHeader(bytes.NewReader(whole[:cut])); (err == nil) != (cut >= int(h.PayloadOffset)) {
			t.Errorf("cut at %d, the header: %v", cut, err)
		}
	}
}

// TestFlippedBits flips one bit of every byte up to the payload and of a sample
// behind. From the main header on all is covered by a digest; before it, what
// is accepted must still say the same.
func TestFlippedBits(t *testing.T) {
	whole := read(t, build(t, specFull, "--target", "x86_64")["plague-try-1.2~rc1-4^git5.x86_64.rpm"])
	h, err := rpm.Verify(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	want, covered := describe(h), mainAt(whole)
	rng := rand.New(rand.NewPCG(3, 4))
	step := 1
	for at := 0; at < len(whole); at += step {
		if at >= int(h.PayloadOffset) {
			step = 501
		}
		bit := byte(1) << rng.IntN(8)
		whole[at] ^= bit
		got, err := rpm.Verify(bytes.NewReader(whole))
		switch {
		case err != nil && !errors.Is(err, rpm.ErrNotRPM):
			t.Errorf("a bit at %d: another kind of error: %v", at, err)
		case err == nil && at >= covered:
			t.Errorf("a bit at %d, in the main header or the payload, is not noticed", at)
		case err == nil && describe(got) != want:
			t.Errorf("a bit at %d changes what is read", at)
		}
		whole[at] ^= bit
	}
}

// TestClaimsTakeNoMemory: sixteen bytes may not ask for 64 MiB.
func TestClaimsTakeNoMemory(t *testing.T) {
	region := func(size uint32) []byte {
		b := binary.BigEndian.AppendUint32(nil, 63)
		for _, v := range []uint32{7, size - 16, 16} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		return b
	}
	claim := join(lead(false), section(62), append(intro(1, 64<<20), region(64<<20)...))
	if used := allocated(func() {
		if _, err := rpm.ReadHeader(bytes.NewReader(claim)); !errors.Is(err, rpm.ErrNotRPM) {
			t.Errorf("the claim was taken: %v", err)
		}
	}); used > 2<<20 {
		t.Errorf("a claim took %d bytes of memory", used)
	}
	zeros := io.LimitReader(zero{}, 1<<40)
	if used := allocated(func() {
		if _, err := rpm.ReadHeader(io.MultiReader(bytes.NewReader(claim), zeros)); !errors.Is(err, rpm.ErrNotRPM) {
			t.Errorf("zeros were taken: %v", err)
		}
	}); used > 80<<20 {
		t.Errorf("64 MiB of zeros took %d bytes of memory", used)
	}
	if left := zeros.(*io.LimitedReader).N; left < 1<<40-65<<20 {
		t.Errorf("%d bytes were read", 1<<40-left)
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// allocated counts what f takes from the heap, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzReadHeader seeds with real files, and with the same without the digests
// that would keep the fuzzer out of the main header. Run it with
// -fuzzminimizetime 10x: left to its default, minimizing eats the whole time.
func FuzzReadHeader(f *testing.F) {
	for _, spec := range []string{specFull, specNoarch, specIX86} {
		b := read(f, source(f, spec))
		h, err := rpm.ReadHeader(bytes.NewReader(b))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:h.PayloadOffset])
		f.Add(join(b[:96], section(62), b[mainAt(b):h.PayloadOffset]))
	}
	f.Add(join(lead(false), section(62, number(1000, 500)), with(texts(1049, "a", "(b or c)"), number(1048, 0, 12), texts(1050, "", "1"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h *rpm.Header
		var err error
		used := allocated(func() { h, err = rpm.ReadHeader(bytes.NewReader(b)) })
		// 1 MiB for each claim (two indexes, two times data) before its bytes arrive.
		if used > min(80<<20, 4<<20+64*uint64(len(b))) {
			t.Errorf("%d bytes took %d bytes of memory", len(b), used)
		}
		if err != nil {
			if !errors.Is(err, rpm.ErrNotRPM) || strings.ContainsAny(err.Error(), "\n\x1b\x00") {
				t.Errorf("the error %q", err)
			}
			return
		}
		safe(t, h.NEVRA())
		describe(h)
		if h.PayloadOffset > int64(len(b)) || h.IsSource() != h.NEVRA().IsSource() {
			t.Errorf("%s: payload at %d of %d", h.NEVRA(), h.PayloadOffset, len(b))
		}
		if traits, err := h.Traits(); err != nil && !errors.Is(err, rpm.ErrNotRPM) || err == nil && rpm.Differences(traits, traits, "a", "b") != "" {
			t.Errorf("Traits: %v", err)
		}
		if _, err := rpm.Verify(bytes.NewReader(b)); err != nil && !errors.Is(err, rpm.ErrNotRPM) {
			t.Errorf("Verify: %v", err)
		}
	})
}
