package store_test

import (
	"slices"
	"testing"
	"time"

	"plague"
	"plague/internal/store"
)

// TestEnrolled: a builder that joins is there once, where it said last, and the story
// says who let it in.
func TestEnrolled(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		w := f.Subscribe(store.TopicBuilders)
		defer w.Close()
		c := store.Certificate{Fingerprint: "f1", Serial: "S1", Role: "builder", Name: "b", SeenAt: f.now, EndsAt: f.now.Add(time.Hour)}
		b := store.Enrolled{Name: "b", URL: "https://b:8888", At: f.now, Who: "root"}
		f.must(f.Enrol(f.ctx, b, c))
		<-w.C
		b.URL = "https://b:9999"
		f.must(f.Enrol(f.ctx, b, c)) // the same certificate: the answer was lost
		bs, err := f.Enrolled(f.ctx)
		f.must(err)
		if len(bs) != 1 || bs[0] != b {
			t.Errorf("enrolled: %+v", bs)
		}
		es, err := f.Events(f.ctx, 0, 10)
		f.must(err)
		if len(es) != 2 || es[0].What != "certificate" || es[0].To != "issued" || es[0].Who != "root" || es[0].Text != "builder b joined at https://b:8888 with the certificate S1" {
			t.Errorf("events: %+v", es)
		}
	})
}

// TestRevoke: what is revoked stays so, a builder without a good certificate is none, and
// the certificate of an old token does not bring it back.
func TestRevoke(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		c := func(print, serial, role, name string) store.Certificate {
			return store.Certificate{Fingerprint: print, Serial: serial, Role: role, Name: name, SeenAt: f.now, EndsAt: f.now.Add(time.Hour)}
		}
		first, second := c("f1", "A1", "builder", "b"), c("f2", "A2", "builder", "b")
		b := store.Enrolled{Name: "b", URL: "https://b:8888", At: f.now, Who: "root"}
		f.must(f.Enrol(f.ctx, b, first))
		f.must(f.SeeCertificate(f.ctx, second))
		f.must(f.SeeCertificate(f.ctx, c("f3", "A1", "user", "u@example.com")))
		f.must(f.SeeCertificate(f.ctx, c("f4", "A4", "server", "s")))
		for which, kind := range map[string]error{"nobody": plague.ErrNotFound, "s": plague.ErrConflict, "a1": plague.ErrConflict} {
			_, err := f.Revoke(f.ctx, f.now, "boss", which, "")
			f.refused(err, kind)
		}
		there := func(want int) {
			t.Helper()
			bs, err := f.Enrolled(f.ctx)
			f.must(err)
			if len(bs) != want {
				t.Errorf("%d have joined, want %d", len(bs), want)
			}
		}
		revoke := func(which string) {
			t.Helper()
			_, err := f.Revoke(f.ctx, f.now, "boss", which, "stolen")
			f.must(err)
		}
		revoke("a2")
		there(1)
		revoke("b")
		there(0)
		f.refused(f.Enrol(f.ctx, b, first), plague.ErrDenied, "revoked")
		there(0)
		f.must(f.Enrol(f.ctx, b, c("f5", "A5", "builder", "b")))
		there(1)
		f.must(f.Renewed(f.ctx, "f5", c("f6", "A6", "builder", "b")))
		f.refused(f.Renewed(f.ctx, "f1", c("f7", "A7", "builder", "b")), plague.ErrDenied, "A1", "revoked")
		prints, err := f.Revoked(f.ctx, f.now)
		f.must(err)
		if !slices.Equal(prints, []string{"f1", "f2"}) {
			t.Errorf("revoked: %v", prints)
		}
		if late, err := f.Revoked(f.ctx, f.now.Add(time.Hour)); err != nil || len(late) > 0 {
			t.Errorf("those that have ended: %v, %v", late, err)
		}
	})
}

// TestRemoveBuilder: all in one step, once, and only who has joined; a user of that name
// keeps his certificate.
func TestRemoveBuilder(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		c := func(print, role string) store.Certificate {
			return store.Certificate{Fingerprint: print, Serial: print, Role: role, Name: "b", SeenAt: f.now, EndsAt: f.now.Add(time.Hour)}
		}
		f.must(f.Enrol(f.ctx, store.Enrolled{Name: "b", URL: "https://b:8888", At: f.now, Who: "root"}, c("f1", "builder")))
		f.must(f.SeeCertificate(f.ctx, c("f2", "builder")))
		f.must(f.SeeCertificate(f.ctx, c("f3", "user")))
		f.must(f.Drain(f.ctx, store.Drain{Builder: "b", At: f.now, Who: "boss"}))
		f.refused(f.RemoveBuilder(f.ctx, f.now, "boss", "other", ""), plague.ErrConflict)
		f.must(f.RemoveBuilder(f.ctx, f.now, "boss", "b", "sold"))
		revoked, err := f.Revoked(f.ctx, f.now)
		f.must(err)
		bs, err := f.Enrolled(f.ctx)
		f.must(err)
		ds, err := f.Drains(f.ctx)
		f.must(err)
		if len(revoked) != 2 || revoked[0] != "f1" || revoked[1] != "f2" || len(bs) != 0 || len(ds) != 1 || ds[0].EndedAt.IsZero() {
			t.Errorf("revoked %v, joined %v, drains %v", revoked, bs, ds)
		}
		f.refused(f.RemoveBuilder(f.ctx, f.now, "boss", "b", ""), plague.ErrConflict)
	})
}
