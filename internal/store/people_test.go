package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"plague"
)

func (f *farm) putUser(email string, cs ...plague.Capability) error {
	return f.PutUser(f.ctx, f.now, "boss@example.com", plague.User{Email: email, Capabilities: cs})
}

// TestUsers: users have exactly what they were given, and somebody can always
// let others in.
func TestUsers(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		f.must(f.putUser("z@example.com", plague.ServerAdmin)) // a farm without an administrator is not made worse
		f.must(f.putUser("a@example.com", plague.ModifyUsers, plague.OwnJobs))
		f.unchanged("the last administrator's demotion", func() error { return f.putUser("a@example.com", plague.OwnJobs) })
		f.unchanged("the last administrator's end", func() error { return f.dropUser("x", "a@example.com") })
		f.must(f.putUser("b@example.com", plague.ModifyUsers))
		f.must(f.putUser("a@example.com", plague.KillAnyJob))
		u, err := f.User(f.ctx, "a@example.com")
		f.must(err)
		if !slices.Equal(u.Capabilities, []plague.Capability{plague.KillAnyJob}) {
			t.Errorf("user %+v", u)
		}
		f.must(f.dropUser("x", "a@example.com"))
		_, err = f.User(f.ctx, "a@example.com")
		f.refused(err, plague.ErrNotFound)
		f.refused(f.dropUser("x", "a@example.com"), plague.ErrNotFound, "a@example.com")
		for _, email := range []string{"", "nobody", "a b@example.com", "a@example.com\n"} {
			f.refused(f.putUser(email), plague.ErrInvalid)
		}
		us, err := f.Users(f.ctx)
		f.must(err)
		if len(us) != 2 || us[0].Email != "b@example.com" || us[1].Email != "z@example.com" {
			t.Errorf("users %+v", us)
		}
	})
}

// TestLastAdministrators: two who take each other's place away at the same
// time do not leave the farm without anybody.
func TestLastAdministrators(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for range rounds {
			f.must(f.putUser("a@example.com", plague.ModifyUsers))
			f.must(f.putUser("b@example.com", plague.ModifyUsers))
			errs := together(func() error { return f.dropUser("b", "a@example.com") }, func() error { return f.dropUser("a", "b@example.com") })
			us, err := f.Users(f.ctx)
			f.must(err)
			if len(us) != 1 {
				t.Fatalf("%d administrators are left: %v", len(us), errs)
			}
		}
	})
}

// dropUser deletes a user who is there.
func (f *farm) dropUser(who, email string) error {
	_, err := f.ChangeUser(f.ctx, f.now, who, email, false, func(u plague.User, there bool) (plague.User, error) {
		if !there {
			return u, plague.Refuse(plague.ErrNotFound, email, "")
		}
		return u, nil
	})
	return err
}

// TestChangesTogether: of two changes of one user at once none is lost.
func TestChangesTogether(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		give := func(c plague.Capability) func() error {
			return func() error {
				_, err := f.ChangeUser(f.ctx, f.now, "x", "a@example.com", true, func(u plague.User, there bool) (plague.User, error) {
					u.Capabilities = append(u.Capabilities, c)
					return u, nil
				})
				return err
			}
		}
		for range rounds / 4 {
			f.must(f.putUser("a@example.com", plague.ModifyUsers))
			for _, err := range together(give(plague.OwnJobs), give(plague.KillAnyJob)) {
				f.must(err)
			}
			if u, err := f.User(f.ctx, "a@example.com"); err != nil || len(u.Capabilities) != 3 {
				t.Errorf("%+v, %v", u, err)
			}
		}
	})
}

// TestImport: an old users' file with either set of names, once.
func TestImport(t *testing.T) {
	for _, names := range []string{"own_jobs, kill_any_job, modify_users, server_admin", "own_jobs, job_admin, user_admin, server_admin"} {
		t.Run(names, func(t *testing.T) {
			both(t, func(t *testing.T, f *farm) {
				path := filepath.Join(t.TempDir(), "users #1%20.db")
				old, err := sql.Open("sqlite", path)
				f.must(err)
				_, err = old.Exec(`CREATE TABLE users (id INTEGER PRIMARY KEY, email VARCHAR(50), ` + names + `);
					INSERT INTO users (email, ` + names + `) VALUES ('a@example.com', 1, 0, 0, 0), ('b@example.com', 1, 1, 1, 1)`)
				f.must(err)
				f.must(old.Close())
				n, err := f.ImportUsers(f.ctx, f.now, path)
				if err != nil || n != 2 {
					t.Fatalf("imported %d, %v", n, err)
				}
				u, err := f.User(f.ctx, "b@example.com")
				f.must(err)
				if !slices.Equal(u.Capabilities, plague.Capabilities()) {
					t.Errorf("user %+v", u)
				}
				f.must(f.putUser("a@example.com", plague.KillAnyJob))
				if n, err = f.ImportUsers(f.ctx, f.now, path); err != nil || n != 0 {
					t.Errorf("imported again: %d, %v", n, err)
				}
				if u, err = f.User(f.ctx, "a@example.com"); err != nil || !slices.Equal(u.Capabilities, []plague.Capability{plague.KillAnyJob}) {
					t.Errorf("user %+v, %v", u, err)
				}
				_, err = f.ImportUsers(f.ctx, f.now, filepath.Join(t.TempDir(), "none"))
				f.refused(err, plague.ErrInvalid, "none")
			})
		})
	}
}

// TestPause: who paused is known; the same again is no event.
func TestPause(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for range 2 {
			f.must(f.SetPaused(f.ctx, f.now, "boss@example.com", true))
		}
		if paused, who, err := f.Paused(f.ctx); err != nil || !paused || who != "boss@example.com" {
			t.Errorf("%v %q %v", paused, who, err)
		}
		es, err := f.Events(f.ctx, 0, 10)
		f.must(err)
		if len(es) != 1 || es[0].What != "farm" || es[0].To != "paused" || es[0].Who != "boss@example.com" {
			t.Errorf("events %+v", es)
		}
		f.must(f.SetPaused(f.ctx, f.now, "other@example.com", false))
		if paused, _, err := f.Paused(f.ctx); err != nil || paused {
			t.Errorf("still paused: %v", err)
		}
	})
}

// TestUploads: an upload lives a day, or as long as a job names it; only what
// no job names counts against its user's quota.
func TestUploads(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		a, b := newJob("a", "1"), newJob("b", "1")
		f.must(f.AddUpload(f.ctx, f.now, a.User, a.SRPM, 100))
		f.must(f.AddUpload(f.ctx, f.now, a.User, a.SRPM, 100))
		f.must(f.AddUpload(f.ctx, f.now, a.User, b.SRPM, 20))
		f.must(f.AddUpload(f.ctx, f.now, "other@example.com", b.SRPM, 20))
		f.wantUploaded(a.User, 120)
		uid, err := f.Submit(f.ctx, f.now, a)
		f.must(err)
		f.wantUploaded(a.User, 20)
		f.wantDropped(f.now)
		f.must(f.AddUpload(f.ctx, f.later(time.Hour), "other@example.com", b.SRPM, 20))
		f.wantDropped(f.now)
		f.wantUploaded(a.User, 0)
		f.wantDropped(f.later(time.Hour), b.SRPM)
		for digest, want := range map[string]bool{a.SRPM: true, b.SRPM: false} {
			if got, err := f.Referenced(f.ctx, digest); err != nil || got != want {
				t.Errorf("referenced: %v, %v, want %v", got, err, want)
			}
		}
		_, err = f.Submit(f.ctx, f.now, b)
		f.refused(err, plague.ErrNotFound, "upload it again")
		f.must(f.Kill(f.ctx, f.now, "x", uid))
		f.must(f.Requeue(f.ctx, f.now, "x", uid)) // its SRPM is kept with the job
	})
}

// TestQuotaTogether: uploads that begin at once do not all fit into what is left of a
// quota; and what nobody has gone on with for a day is forgotten.
func TestQuotaTogether(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		u := plague.User{Email: "dev@example.com", Capabilities: []plague.Capability{plague.OwnJobs}}
		f.must(f.PutUser(f.ctx, f.now, "root@example.com", u))
		for i := range rounds {
			var begin []func() error
			at := f.later(time.Duration(i) * 48 * time.Hour)
			for j := range 4 {
				begin = append(begin, func() error {
					return f.BeginUpload(f.ctx, at, u.Email, fmt.Sprint(i, "-", j), 40, 100)
				})
			}
			refused := 0
			for _, err := range together(begin...) {
				if errors.Is(err, plague.ErrDenied) {
					refused++
				} else {
					f.must(err)
				}
			}
			if refused != 2 {
				t.Fatalf("%d of 4 uploads of 40 bytes were refused, the quota is 100", refused)
			}
			f.wantUploaded(u.Email, 80)
			f.wantDropped(f.later(time.Duration(i)*48*time.Hour + time.Hour))
			f.wantUploaded(u.Email, 0)
		}
	})
}

func (f *farm) wantUploaded(user string, want int64) {
	f.t.Helper()
	if n, err := f.Uploaded(f.ctx, user); err != nil || n != want {
		f.t.Errorf("%s has %d bytes, %v, want %d", user, n, err, want)
	}
}

func (f *farm) wantDropped(before time.Time, want ...string) {
	f.t.Helper()
	if got, err := f.DropUploads(f.ctx, f.term, before); err != nil || !slices.Equal(got, want) {
		f.t.Errorf("dropped %v, %v, want %v", got, err, want)
	}
}

// TestDropAgainstSubmit: an SRPM whose deletion was decided is not accepted at
// the same moment, and the other way round.
func TestDropAgainstSubmit(t *testing.T) {
	both(t, func(t *testing.T, f *farm) {
		for i := range rounds * 2 {
			n := newJob("p"+fmt.Sprint(i), "1")
			f.must(f.AddUpload(f.ctx, f.now, n.User, n.SRPM, 1))
			var dropped []string
			errs := together(
				func() error { _, err := f.Submit(f.ctx, f.now, n); return err },
				func() (err error) { dropped, err = f.DropUploads(f.ctx, f.term, f.now.Add(time.Second)); return err },
			)
			f.must(errs[1])
			if gone := slices.Contains(dropped, n.SRPM); gone != (errs[0] != nil) {
				t.Fatalf("dropped: %v, submit: %v", gone, errs[0])
			}
		}
	})
}
