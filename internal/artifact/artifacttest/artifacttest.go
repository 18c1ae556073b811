// Package artifacttest is the suite that every artifact store passes.
package artifacttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"plague"
	"plague/internal/artifact"
)

// Store is what users of artifacts ask of a store, wherever it keeps them.
type Store interface {
	Has(want artifact.Digest) bool
	Open(want artifact.Digest) (io.ReadSeekCloser, int64, error)
	Put(ctx context.Context, want artifact.Digest, size, max int64, r io.Reader) error
	Add(ctx context.Context, r io.Reader, max int64) (artifact.Digest, int64, error)
	Offset(want artifact.Digest) (int64, error)
	PutAt(ctx context.Context, want artifact.Digest, offset, total, max int64, r io.Reader) (complete bool, err error)
	Remove(want artifact.Digest) error
	List(ctx context.Context, yield func(artifact.Info) bool) error
}

// Run runs the suite; open gives an empty store each time.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"Put":                testPut,
		"PutRefuses":         testPutRefuses,
		"Add":                testAdd,
		"Empty":              testEmpty,
		"Absent":             testAbsent,
		"Resume":             testResume,
		"ResumeBrokenReader": testResumeBrokenReader,
		"ResumeRefuses":      testResumeRefuses,
		"ResumeDiscards":     testResumeDiscards,
		"OneWriter":          testOneWriter,
		"CancelledContext":   testCancelled,
		"ListAndRemove":      testListAndRemove,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

const big = 1 << 20 // a limit that no content here reaches

// content is large enough for several reads of a copy.
func content() (string, artifact.Digest) {
	s := strings.Repeat("every byte of it counts\n", 10_000)
	return s, sha256.Sum256([]byte(s))
}

// expect fails unless the store has exactly want, or nothing if want is empty.
func expect(t *testing.T, s Store, d artifact.Digest, want string) {
	t.Helper()
	f, size, err := s.Open(d)
	if want == "" {
		if !errors.Is(err, plague.ErrNotFound) || s.Has(d) {
			t.Errorf("artifact is visible: open says %v, has says %v", err, s.Has(d))
		}
		return
	}
	if err != nil || !s.Has(d) {
		t.Fatalf("artifact is not visible: open says %v, has says %v", err, s.Has(d))
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || string(got) != want || size != int64(len(want)) {
		t.Errorf("artifact has %d bytes, says %d, %v; want %d", len(got), size, err, len(want))
	}
}

func testPut(t *testing.T, s Store) {
	text, d := content()
	if err := s.Put(t.Context(), d, int64(len(text)), int64(len(text)), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	expect(t, s, d, text)
	// The second time nothing is read, and what is there stays.
	if err := s.Put(t.Context(), d, -1, big, iotest.ErrReader(errors.New("read again"))); err != nil {
		t.Error(err)
	}
	expect(t, s, d, text)

	f, _, err := s.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	part := make([]byte, 5)
	if _, err := f.Seek(6, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(f, part); err != nil || string(part) != "byte " {
		t.Errorf("from byte 6 on there is %q, %v", part, err)
	}
}

func testPutRefuses(t *testing.T, s Store) {
	text, d := content()
	n := int64(len(text))
	broken := errors.New("the line broke")
	for _, tt := range []struct {
		name      string
		size, max int64
		body      io.Reader
		want      error
	}{
		{"other content", n, n, strings.NewReader(strings.ToUpper(text)), plague.ErrInvalid},
		{"other content, size unknown", -1, n, strings.NewReader(text[1:]), plague.ErrInvalid},
		{"short", n, n, strings.NewReader(text[:n-1]), plague.ErrInvalid},
		{"short of what was announced", n + 1, big, strings.NewReader(text), plague.ErrInvalid},
		{"long", n, big, strings.NewReader(text + "x"), plague.ErrInvalid},
		{"more than the limit, announced", n, n - 1, strings.NewReader(text), plague.ErrInvalid},
		{"more than the limit, not announced", -1, n - 1, strings.NewReader(text), plague.ErrInvalid},
		{"broken line", n, n, io.MultiReader(strings.NewReader(text[:n/2]), iotest.ErrReader(broken)), broken},
	} {
		if err := s.Put(t.Context(), d, tt.size, tt.max, tt.body); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		expect(t, s, d, "")
	}
	if err := s.Put(t.Context(), d, n, n, strings.NewReader(text)); err != nil {
		t.Errorf("the right one after the wrong ones: %v", err)
	}
}

func testAdd(t *testing.T, s Store) {
	text, d := content()
	n := int64(len(text))
	for range 2 { // the second is no news
		got, size, err := s.Add(t.Context(), iotest.OneByteReader(strings.NewReader(text)), n)
		if err != nil || got != d || size != n {
			t.Fatalf("added %s of %d bytes, %v", got, size, err)
		}
		expect(t, s, d, text)
	}
	if _, _, err := s.Add(t.Context(), strings.NewReader("0123456789"), 9); !errors.Is(err, plague.ErrInvalid) {
		t.Errorf("10 bytes with a limit of 9: %v", err)
	}
	expect(t, s, sha256.Sum256([]byte("0123456789")), "")
	expect(t, s, sha256.Sum256([]byte("012345678")), "")
}

func testEmpty(t *testing.T, s Store) {
	d := artifact.Digest(sha256.Sum256(nil))
	if done, err := s.PutAt(t.Context(), d, 0, 0, 0, strings.NewReader("")); !done || err != nil {
		t.Fatalf("an empty file: %v, %v", done, err)
	}
	if _, size, err := s.Open(d); err != nil || size != 0 {
		t.Errorf("an empty file has %d bytes, %v", size, err)
	}
}

func testAbsent(t *testing.T, s Store) {
	_, d := content()
	expect(t, s, d, "")
	if n, err := s.Offset(d); n != 0 || err != nil {
		t.Errorf("offset of nothing is %d, %v", n, err)
	}
	if err := s.Remove(d); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
	if got := digests(t, s); len(got) != 0 {
		t.Errorf("an empty store lists %v", got)
	}
}

func testResume(t *testing.T, s Store) {
	text, d := content()
	total := int64(len(text))
	offset := int64(0)
	// The fourth goes back a little: a sender may not know what arrived.
	for _, piece := range [][2]int64{{0, 1000}, {1000, 1000}, {1000, 90_000}, {89_000, 200_000}, {200_000, total}} {
		expect(t, s, d, "")
		done, err := s.PutAt(t.Context(), d, piece[0], total, total, strings.NewReader(text[piece[0]:piece[1]]))
		if err != nil || done != (piece[1] == total) {
			t.Fatalf("bytes %d to %d: complete %v, %v", piece[0], piece[1], done, err)
		}
		if offset, err = s.Offset(d); err != nil || offset != piece[1] {
			t.Errorf("offset is %d, not %d, %v", offset, piece[1], err)
		}
	}
	expect(t, s, d, text)
	if done, err := s.PutAt(t.Context(), d, 0, total, total, iotest.ErrReader(errors.New("read again"))); !done || err != nil {
		t.Errorf("once more: complete %v, %v", done, err)
	}
}

func testResumeBrokenReader(t *testing.T, s Store) {
	text, d := content()
	total := int64(len(text))
	broken := errors.New("the line broke")
	body := io.MultiReader(strings.NewReader(text[:5000]), iotest.ErrReader(broken))
	if done, err := s.PutAt(t.Context(), d, 0, total, total, body); done || !errors.Is(err, broken) {
		t.Fatalf("complete %v, %v", done, err)
	}
	offset, err := s.Offset(d)
	if err != nil || offset != 5000 {
		t.Fatalf("offset is %d, %v: what came is lost", offset, err)
	}
	// All bytes, but the reader fails instead of ending: the next call needs none.
	body = io.MultiReader(strings.NewReader(text[offset:]), iotest.ErrReader(broken))
	if done, err := s.PutAt(t.Context(), d, offset, total, total, body); done || !errors.Is(err, broken) {
		t.Fatalf("complete %v, %v", done, err)
	}
	if done, err := s.PutAt(t.Context(), d, total, total, total, strings.NewReader("")); !done || err != nil {
		t.Fatalf("complete %v, %v", done, err)
	}
	expect(t, s, d, text)
}

func testResumeRefuses(t *testing.T, s Store) {
	text, d := content()
	total := int64(len(text))
	if _, err := s.PutAt(t.Context(), d, 0, total, total, strings.NewReader(text[:10])); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name               string
		offset, total, max int64
		want               error
	}{
		{"a gap", 11, total, total, plague.ErrConflict},
		{"behind the end", total + 1, total, total, plague.ErrInvalid},
		{"before the start", -1, total, total, plague.ErrInvalid},
		{"a negative size", 0, -1, total, plague.ErrInvalid},
		{"over the limit", 10, total, total - 1, plague.ErrInvalid},
	} {
		if done, err := s.PutAt(t.Context(), d, tt.offset, tt.total, tt.max, strings.NewReader("x")); done || !errors.Is(err, tt.want) {
			t.Errorf("%s: complete %v, %v", tt.name, done, err)
		}
		if n, err := s.Offset(d); n != 10 || err != nil {
			t.Errorf("%s: offset is %d, %v", tt.name, n, err)
		}
	}
}

func testResumeDiscards(t *testing.T, s Store) {
	text, d := content()
	total := int64(len(text))
	for what, body := range map[string]string{"wrong": strings.ToUpper(text), "long": text + "x"} {
		if done, err := s.PutAt(t.Context(), d, 0, total, big, strings.NewReader(body)); done || !errors.Is(err, plague.ErrInvalid) {
			t.Errorf("%s content: complete %v, %v", what, done, err)
		}
		expect(t, s, d, "")
		if n, err := s.Offset(d); n != 0 || err != nil {
			t.Errorf("%s content is kept: offset is %d, %v", what, n, err)
		}
	}
}

func testOneWriter(t *testing.T, s Store) {
	text, d := content()
	total := int64(len(text))
	r, w := io.Pipe()
	type result struct {
		done bool
		err  error
	}
	first := make(chan result, 1)
	go func() {
		done, err := s.PutAt(t.Context(), d, 0, total, total, r)
		first <- result{done, err}
	}()
	// Once the pipe has taken a byte, the first writer is at work.
	if _, err := io.WriteString(w, text[:1]); err != nil {
		t.Fatal(err)
	}
	if done, err := s.PutAt(t.Context(), d, 0, total, total, strings.NewReader(text)); done || !errors.Is(err, plague.ErrConflict) {
		t.Errorf("the second writer: complete %v, %v", done, err)
	}
	if _, err := io.WriteString(w, text[1:]); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if got := <-first; !got.done || got.err != nil {
		t.Errorf("the first writer: complete %v, %v", got.done, got.err)
	}
	expect(t, s, d, text)
}

func testCancelled(t *testing.T, s Store) {
	text, d := content()
	total := int64(len(text))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was killed")
	body := io.MultiReader(strings.NewReader(text[:100]), readerFunc(func([]byte) (int, error) {
		cancel(why)
		return 0, nil
	}), strings.NewReader(text[100:]))
	if done, err := s.PutAt(ctx, d, 0, total, total, body); done || !errors.Is(err, why) {
		t.Errorf("cancelled in the middle: complete %v, %v", done, err)
	}
	if err := s.Put(ctx, d, total, total, strings.NewReader(text)); !errors.Is(err, why) {
		t.Errorf("cancelled before: %v", err)
	}
	expect(t, s, d, "")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testListAndRemove(t *testing.T, s Store) {
	begin := time.Now().Add(-time.Minute)
	var all []artifact.Digest
	for _, text := range []string{"one", "three", "fifteen"} {
		d, _, err := s.Add(t.Context(), strings.NewReader(text), big)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	text, unfinished := content()
	if _, err := s.PutAt(t.Context(), unfinished, 0, int64(len(text)), big, strings.NewReader(text[:10])); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b artifact.Digest) int { return bytes.Compare(a[:], b[:]) })
	if got := digests(t, s); !slices.Equal(got, all) {
		t.Errorf("listed %v, not %v", got, all)
	}
	var sizes int64
	if err := s.List(t.Context(), func(i artifact.Info) bool {
		sizes += i.Size
		if i.Time.Before(begin) || i.Time.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s was written %s", i.Digest, i.Time)
		}
		return true
	}); err != nil || sizes != 15 {
		t.Errorf("sizes add up to %d, %v", sizes, err)
	}
	calls := 0
	if err := s.List(t.Context(), func(artifact.Info) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("a list that was stopped went on %d times, %v", calls, err)
	}
	if err := s.Remove(all[1]); err != nil {
		t.Fatal(err)
	}
	expect(t, s, all[1], "")
	if got, want := digests(t, s), []artifact.Digest{all[0], all[2]}; !slices.Equal(got, want) {
		t.Errorf("listed %v, not %v", got, want)
	}
}

func digests(t *testing.T, s Store) []artifact.Digest {
	t.Helper()
	var got []artifact.Digest
	if err := s.List(t.Context(), func(i artifact.Info) bool {
		got = append(got, i.Digest)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return got
}
