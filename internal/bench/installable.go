package bench

import (
	"compress/gzip"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"plague"
	"plague/internal/store"
)

const (
	repoSize      = 1000 // packages in the larger repository
	installRounds = 10
	readPause     = 5 * time.Millisecond
	maxMetadata   = 64 << 20
)

// installable measures how long an RPM that the server has accepted takes until
// a reader of the mirrorlist sees it, with metadata by createrepo_c.
func (b *Bench) installable(ctx context.Context) ([]Figure, error) {
	var figures []Figure
	err := b.with(ctx, Shape{Builders: 1, Createrepo: true}, func(f *Farm) error {
		for _, size := range []int{0, repoSize} {
			if size > 0 {
				if err := f.fill(ctx, size-installRounds); err != nil {
					return err
				}
			}
			times, err := f.installs(ctx, fmt.Sprintf("after%d", size), installRounds)
			if err != nil {
				return err
			}
			figures = append(figures, Figure{What: fmt.Sprintf("accepted to installable, repository of %s", plural(size, "package")), Value: spread(times), Unit: "ms",
				Note: "createrepo_c; a reader of the mirrorlist"})
		}
		return nil
	})
	return figures, err
}

// fill brings n packages into the repository with one job.
func (f *Farm) fill(ctx context.Context, n int) error {
	jobs, err := f.uploaded(ctx, fmt.Sprintf("fill-x%d", n-1), 1)
	if err != nil {
		return err
	}
	w, err := f.watcher(ctx)
	if err != nil {
		return err
	}
	done, err := w.client.Submit(ctx, jobs[0])
	if err != nil {
		return err
	}
	_, err = w.published(ctx, done.UID)
	return err
}

func (f *Farm) installs(ctx context.Context, name string, n int) ([]time.Duration, error) {
	db, err := store.Open(ctx, f.Database, store.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	jobs, err := f.uploaded(ctx, name, n)
	if err != nil {
		return nil, err
	}
	w, err := f.watcher(ctx)
	if err != nil {
		return nil, err
	}
	var all []time.Duration
	for i, job := range jobs {
		done, err := w.client.Submit(ctx, job)
		if err != nil {
			return nil, err
		}
		seen, err := f.seen(ctx, fmt.Sprintf("%s-%d-1.%s.rpm", name, i+1, f.Arch))
		if err != nil {
			return nil, err
		}
		if _, err := w.published(ctx, done.UID); err != nil {
			return nil, err
		}
		accepted, err := accepted(ctx, db, done.UID)
		if err != nil {
			return nil, err
		}
		all = append(all, seen.Sub(accepted))
	}
	return all, nil
}

// accepted tells when the last of a job's RPMs was checked and taken.
func accepted(ctx context.Context, db *store.DB, uid plague.JobID) (time.Time, error) {
	events, err := db.JobEvents(ctx, uid)
	if err != nil {
		return time.Time{}, err
	}
	for _, e := range events {
		if e.What == "job" && e.To == string(plague.JobAddToRepo) {
			return e.At, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: job %d was not accepted", plague.ErrNotFound, uid)
}

// seen reads the repository again and again, as dnf would, until a file is in
// it.
func (f *Farm) seen(ctx context.Context, file string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := ""
	for ctx.Err() == nil {
		base, err := f.get(ctx, f.Repository+"mirrorlist")
		if err == nil && base != last {
			last = base
			var text string
			if text, err = f.primary(ctx, strings.TrimSpace(base)); err == nil && strings.Contains(text, file) {
				return time.Now(), nil
			}
		}
		if err != nil && !notYet(err) {
			return time.Time{}, err
		}
		rest(ctx, readPause)
	}
	return time.Time{}, fmt.Errorf("%s is not in the repository: %w", file, ctx.Err())
}

// primary reads the list of packages of a snapshot.
func (f *Farm) primary(ctx context.Context, base string) (string, error) {
	text, err := f.get(ctx, strings.TrimSuffix(base, "/")+"/repodata/repomd.xml")
	if err != nil {
		return "", err
	}
	var md struct {
		Data []struct {
			Type     string `xml:"type,attr"`
			Location struct {
				Href string `xml:"href,attr"`
			} `xml:"location"`
		} `xml:"data"`
	}
	if err := xml.Unmarshal([]byte(text), &md); err != nil {
		return "", err
	}
	for _, d := range md.Data {
		if d.Type == "primary" {
			packed, err := f.get(ctx, strings.TrimSuffix(base, "/")+"/"+d.Location.Href)
			if err != nil {
				return "", err
			}
			z, err := gzip.NewReader(strings.NewReader(packed))
			if err != nil {
				return "", err
			}
			all, err := io.ReadAll(io.LimitReader(z, maxMetadata))
			return string(all), err
		}
	}
	return "", fmt.Errorf("%w: repomd.xml of %s names no list of packages", plague.ErrInvalid, base)
}

// absent is an address at which nothing is yet.
type absent struct{ url string }

func (a absent) Error() string { return "nothing is at " + a.url }

func notYet(err error) bool { _, ok := err.(absent); return ok }

func (f *Farm) get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := f.HTTP.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return "", absent{url}
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answered %s", url, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata))
	return string(text), err
}
