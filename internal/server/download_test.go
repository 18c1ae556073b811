package server

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/repo"
)

// flaky is a builder's door that gives so many bytes of a file and breaks off.
func flaky(content []byte, give int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(&broken{w, give}, r, "", time.Time{}, bytes.NewReader(content))
	}
}

type broken struct {
	http.ResponseWriter
	left int
}

func (b *broken) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// slow is a farm that fetches a log of 3 MiB from such a builder.
func slow(t *testing.T, give int) *press {
	p := newPress(t, repo.Plain{})
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	door := httptest.NewServer(flaky(content, give))
	t.Cleanup(door.Close)
	p.s.roster.set([]Link{{Name: "b1", URL: door.URL, HTTP: door.Client()}})
	sum := sha256.Sum256(content)
	d := p.ended(lab, "p", &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding},
		plague.Artifact{Name: "build.log", Digest: hex.EncodeToString(sum[:]), Size: int64(len(content))})
	p.must(p.s.DB.DownloadLater(t.Context(), d, "here", time.Now(), true, "given back"))
	return p
}

// fetchAll fetches until the arch job is no longer downloading; it gives the
// number of tries, and the arch job.
func (p *press) fetchAll() (int, plague.ArchJob) {
	p.t.Helper()
	for n := 1; ; n++ {
		d := p.claim()
		p.must(p.s.download(p.t.Context(), d))
		a, err := p.s.DB.ArchJob(p.t.Context(), d.ArchJob)
		p.must(err)
		if a.State != plague.ArchDownloading {
			return n, a
		}
	}
}

// A line that breaks again and again brings the files in the end, in however
// many tries.
func TestTriesThatBringSomething(t *testing.T) {
	p := slow(t, 256<<10)
	if n, a := p.fetchAll(); n <= p.s.Options.DownloadTries || a.State != plague.ArchFailed || strings.Contains(a.Reason, "downloaded") {
		t.Errorf("after %d tries it is %s (%s)", n, a.State, a.Reason)
	}
}

// One that brings nothing is given up, and so is one that takes for ever.
func TestTriesThatBringNothing(t *testing.T) {
	p := slow(t, 0)
	if n, a := p.fetchAll(); n != p.s.Options.DownloadTries || a.State != plague.ArchQueued || !strings.Contains(a.Reason, "could not be downloaded") {
		t.Errorf("after %d tries it is %s (%s)", n, a.State, a.Reason)
	}
	p = slow(t, 256<<10)
	p.s.Options.Download = time.Nanosecond
	if n, a := p.fetchAll(); n != 1 || a.State != plague.ArchQueued {
		t.Errorf("after %d tries it is %s (%s)", n, a.State, a.Reason)
	}
}

// A file that is here already is not fetched, and a builder's lie about its size is
// not taken in for that.
func TestSizeOfWhatIsHere(t *testing.T) {
	p := newPress(t, repo.Plain{})
	digest, size, err := p.s.Artifacts.Add(t.Context(), strings.NewReader("a log\n"), 100)
	p.must(err)
	p.s.roster.set([]Link{{Name: "b1", URL: "https://127.0.0.1:1", HTTP: http.DefaultClient}})
	for announced, says := range map[int64]string{size + 1: "was announced with 7 bytes and has 6", size: ""} {
		d := p.ended(lab, "p", &plague.Failure{Kind: plague.FailurePackage, Phase: plague.PhaseBuilding, Message: "it failed"},
			plague.Artifact{Name: "build.log", Digest: digest.String(), Size: announced})
		p.must(p.s.download(t.Context(), d))
		a, err := p.s.DB.ArchJob(t.Context(), d.ArchJob)
		p.must(err)
		if a.State != plague.ArchFailed || !strings.Contains(a.Reason, says) || says == "" && a.Reason != "it failed" {
			t.Errorf("announced with %d of %d bytes, it is %s: %s", announced, size, a.State, a.Reason)
		}
		p.names++
	}
}
