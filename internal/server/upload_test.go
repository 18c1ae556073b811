package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/repo"
	"plague/internal/rpm"
	"plague/internal/wire"
)

func srpm(name string) []byte {
	return rpm.Blank{NEVRA: rpm.NEVRA{Name: name, EVR: rpm.EVR{Version: "1", Release: "1"}, Arch: "src"}}.Bytes()
}

func (p *press) user(email string) {
	p.t.Helper()
	p.must(p.s.DB.PutUser(p.t.Context(), time.Now(), "root@farm", plague.User{Email: email, Capabilities: []plague.Capability{plague.OwnJobs}}))
}

// put uploads as ann and gives the status.
func (p *press) put(d artifact.Digest, content []byte) int {
	r := httptest.NewRequestWithContext(wire.WithCaller(p.t.Context(), "ann@farm"), http.MethodPut, "/srpm/"+d.String(), bytes.NewReader(content))
	w := httptest.NewRecorder()
	p.s.UsersDoor().ServeHTTP(w, r)
	return w.Code
}

func (p *press) used() int64 {
	p.t.Helper()
	n, err := p.s.DB.Uploaded(p.t.Context(), "ann@farm")
	p.must(err)
	return n
}

// enqueue is ann's call of 2005 for an SRPM of this content on the server.
func (p *press) enqueue(pkg string, content []byte) (code int, text string, err error) {
	p.t.Helper()
	dir := p.t.TempDir()
	p.s.Options.SRPMs = dir
	file := filepath.Join(dir, pkg+"-1-1.src.rpm")
	p.must(os.WriteFile(file, content, 0o644))
	answer, err := p.s.enqueuePath(wire.WithCaller(p.t.Context(), "ann@farm"), []any{"ann@farm", pkg, file, lab})
	if err != nil {
		return 0, "", err
	}
	parts := answer.([]any)
	return parts[0].(int), parts[1].(string), nil
}

// What is no SRPM is thrown away whichever way it comes, and counts for nobody;
// but not what something else names.
func TestNoSRPM(t *testing.T) {
	p := newPress(t, repo.Plain{})
	p.user("ann@farm")
	whole := srpm("p")
	binary := rpm.Blank{NEVRA: rpm.NEVRA{Name: "p", EVR: rpm.EVR{Version: "1", Release: "1"}, Arch: "noarch"}, SourceRPM: "p-1-1.src.rpm"}.Bytes()
	for what, bad := range map[string][]byte{
		"text": []byte("#!/bin/sh\n"), "binary": binary, "longer": append(whole[:len(whole):len(whole)], "more"...), "shorter": whole[:len(whole)-1],
	} {
		d := artifact.Digest(sha256.Sum256(bad))
		if status := p.put(d, bad); status != http.StatusBadRequest {
			t.Errorf("%s: status %d", what, status)
		}
		p.wantThere(what+", uploaded,", d, false)
		if code, text, err := p.enqueue("p", bad); code != -1 || err != nil || !strings.Contains(text, "not an SRPM") {
			t.Errorf("%s: %d %q %v", what, code, text, err)
		}
		p.wantThere(what+", enqueued,", d, false)
	}
	if n := p.used(); n != 0 {
		t.Errorf("ann has %d bytes", n)
	}
	uid := p.jobOf(lab, "q", "q", binary)
	if status := p.put(artifact.Digest(sha256.Sum256(binary)), binary); status != http.StatusBadRequest {
		t.Errorf("status %d", status)
	}
	p.wantThere("the result of a job", artifact.Digest(sha256.Sum256(binary)), true)
	p.must(p.publisher().round(t.Context()))
	p.want(plague.JobNeedSign, uid)
}

// The quota holds for both ways in.
func TestQuota(t *testing.T) {
	p := newPress(t, repo.Plain{})
	p.user("ann@farm")
	one, two := srpm("one"), srpm("two")
	p.s.Options.Quota = int64(len(one)) + 1
	if status := p.put(artifact.Digest(sha256.Sum256(one)), one); status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
	if status := p.put(artifact.Digest(sha256.Sum256(two)), two); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
	if code, text, err := p.enqueue("two", two); code != -1 || err != nil || !strings.Contains(text, "the quota is") {
		t.Errorf("%d %q %v", code, text, err)
	}
	p.wantThere("what was too much", artifact.Digest(sha256.Sum256(two)), false)
}

// What a user has begun to send counts whole until it is there, or nothing of it is.
func TestQuotaOfPieces(t *testing.T) {
	p := newPress(t, repo.Plain{})
	p.user("ann@farm")
	one, two := srpm("one"), srpm("two")
	size := int64(len(one))
	p.s.Options.Quota = size + 10
	cut := func(content []byte, came int) int {
		d := artifact.Digest(sha256.Sum256(content))
		r := httptest.NewRequestWithContext(wire.WithCaller(p.t.Context(), "ann@farm"), http.MethodPut, "/srpm/"+d.String(), bytes.NewReader(content[:came]))
		r.ContentLength = int64(len(content))
		w := httptest.NewRecorder()
		p.s.UsersDoor().ServeHTTP(w, r)
		return w.Code
	}
	for _, step := range []struct {
		what    string
		content []byte
		came    int
		status  int
		used    int64
	}{
		{"nothing comes", one, 0, http.StatusBadRequest, 0},
		{"half comes", one, len(one) / 2, http.StatusBadRequest, size},
		{"another one beside it", two, len(two), http.StatusForbidden, size},
		{"the same once more", one, len(one) / 2, http.StatusBadRequest, size},
		{"all of it", one, len(one), http.StatusCreated, size},
		{"it again", one, len(one), http.StatusCreated, size},
	} {
		if status := cut(step.content, step.came); status != step.status {
			t.Errorf("%s: status %d, want %d", step.what, status, step.status)
		}
		if used := p.used(); used != step.used {
			t.Errorf("%s: %d bytes, want %d", step.what, used, step.used)
		}
	}
}

// A disk that cannot be read is no fault of the SRPM's: nothing is refused for
// good, nothing fails, and the file stays.
func TestUnreadableSRPM(t *testing.T) {
	p := newPress(t, repo.Plain{})
	p.user("ann@farm")
	ctx := wire.WithCaller(t.Context(), "ann@farm")
	file := srpm("p")
	d := artifact.Digest(sha256.Sum256(file))
	if status := p.put(d, file); status != http.StatusCreated {
		t.Fatalf("status %d", status)
	}
	in := wire.Submission{Package: "p", Source: "p-1-1.src.rpm", SRPM: d.String(), Size: int64(len(file)), Target: lab}
	path := p.s.Artifacts.Path(d)
	p.must(os.Rename(path, path+".away"))
	p.must(os.Mkdir(path, 0o755)) // it can be opened, and not be read
	if _, err := p.s.submit(ctx, in); !errors.Is(err, plague.ErrUnavailable) || errors.Is(err, plague.ErrInvalid) {
		t.Errorf("submitted: %v", err)
	}
	if status := p.put(d, file); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
	if _, _, err := p.enqueue("p", file); !errors.Is(err, plague.ErrUnavailable) {
		t.Errorf("enqueued: %v", err)
	}
	job := plague.Job{UID: 1, Run: 1, Target: lab, SRPM: d.String(), StateAt: time.Now()}
	if err := p.s.doOrWait(context.Background(), p.term, &stage{of: plague.JobPrep, do: p.s.prep}, job); !errors.Is(err, errWaits) {
		t.Errorf("prepared: %v", err)
	}
	p.must(os.Remove(path))
	p.must(os.Rename(path+".away", path))
	if out, err := p.s.submit(ctx, in); err != nil || out.UID == 0 {
		t.Errorf("submitted: %+v, %v", out, err)
	}
}
