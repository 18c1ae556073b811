package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"plague"
	"plague/internal/repo"
)

// pinAge is how old the knowledge of a base repository may be when a run is
// pinned to it. Base repositories change once a day; a build each second must
// not ask each time.
const pinAge = 30 * time.Second

// pinCache remembers what repomd.xml each base repository had, by URL. The
// zero value is empty and ready.
type pinCache struct {
	mu  sync.Mutex // guards the field below
	had map[string]pinned
}

type pinned struct {
	digest string
	at     time.Time
}

// pin gives the state of all repositories that a target's buildroots see now.
func (s *Server) pin(ctx context.Context, t *plague.Target) (plague.Pin, error) {
	n, err := s.DB.Current(ctx, t.String(), plague.LineBuild)
	if err != nil {
		return plague.Pin{}, err
	}
	p := plague.Pin{Snapshot: n}
	for _, b := range t.Base {
		for _, arch := range t.BaseArches {
			url := b.For(arch)
			digest, err := s.pins.digest(ctx, s, url)
			if err != nil {
				return plague.Pin{}, fmt.Errorf("%w: base repository %s of %s: %w", plague.ErrUnavailable, b.ID, t, err)
			}
			p.Repos = append(p.Repos, plague.BasePin{ID: b.ID, Arch: arch, URL: url, Repomd: digest})
		}
	}
	return p, nil
}

func (c *pinCache) digest(ctx context.Context, s *Server, url string) (string, error) {
	c.mu.Lock()
	p, ok := c.had[url]
	c.mu.Unlock()
	if ok && time.Since(p.at) < pinAge {
		return p.digest, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	digest, err := repo.FetchRepomd(ctx, s.Base, url)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.had == nil {
		c.had = map[string]pinned{}
	}
	c.had[url] = pinned{digest, time.Now()}
	return digest, nil
}
