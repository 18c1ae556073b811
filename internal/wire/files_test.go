package wire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/durable"
	"plague/internal/wire"
)

// A transfer that was cut off goes on where it ended, and a small one begins
// again; neither shows anything until it is whole.
func TestFetchGoesOn(t *testing.T) {
	for _, tt := range []struct {
		size  int
		again string // the range that the second try asks for
	}{{100, ""}, {2 << 20, "bytes=1048576-"}} {
		t.Run(fmt.Sprint(tt.size), func(t *testing.T) {
			content := bytes.Repeat([]byte("plague "), tt.size/7+1)[:tt.size]
			var asked []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.Header.Get("Range"))
				if len(asked) > 1 {
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(tt.size))
				w.Write(content[:tt.size/2])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}))
			defer srv.Close()
			dir, err := durable.Open(t.TempDir(), 0o700)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			store, err := artifact.OpenDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(content)
			a := plague.Artifact{Name: "it", Digest: hex.EncodeToString(sum[:]), Size: int64(tt.size)}
			if err := wire.Fetch(t.Context(), srv.Client(), nil, srv.URL, store, a, time.Minute); err == nil || store.Has(sum) {
				t.Errorf("after half of it: %v", err)
			}
			if err := wire.Fetch(t.Context(), srv.Client(), nil, srv.URL, store, a, time.Minute); err != nil || !store.Has(sum) {
				t.Errorf("the second time: %v", err)
			}
			if got := strings.Join(asked, ";"); got != ";"+tt.again {
				t.Errorf("it asked for %q", got)
			}
		})
	}
}

// What is not what the digest says is refused, whatever its size.
func TestFetchRefusesOthers(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("something else"))
	}))
	defer srv.Close()
	dir, err := durable.Open(t.TempDir(), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	store, err := artifact.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("what was asked"))
	for _, size := range []int64{5, 14, 20} {
		a := plague.Artifact{Name: "it", Digest: hex.EncodeToString(sum[:]), Size: size}
		if err := wire.Fetch(t.Context(), srv.Client(), nil, srv.URL, store, a, time.Minute); !errors.Is(err, plague.ErrInvalid) || store.Has(sum) {
			t.Errorf("announced with %d bytes: %v", size, err)
		}
	}
}
