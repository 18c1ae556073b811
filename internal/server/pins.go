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

// pinTimeout is how long one is waited for. Whoever else is being prepared waits,
// too, so that one that does not answer is left alone for longer than that.
const pinTimeout = 15 * time.Second

// pinCache remembers what repomd.xml each base repository had, or why it was out
// of reach, by URL. The zero value is empty and ready.
type pinCache struct {
	mu  sync.Mutex // guards the field below
	had map[string]pinned
}

type pinned struct {
	digest string
	err    error     // nil: it answered
	until  time.Time // when it is asked again
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
	p := c.had[url]
	c.mu.Unlock()
	began := time.Now()
	if began.Before(p.until) {
		return p.digest, p.err
	}
	call, cancel := context.WithTimeout(ctx, pinTimeout)
	defer cancel()
	p.digest, p.err = repo.FetchRepomd(call, s.Base, url)
	if ctx.Err() != nil {
		return "", ctx.Err() // says nothing about the repository
	}
	p.until = time.Now().Add(pinAge)
	if p.err != nil {
		p.until = time.Now().Add(3 * time.Since(began))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.had == nil {
		c.had = map[string]pinned{}
	}
	c.had[url] = p
	return p.digest, p.err
}
