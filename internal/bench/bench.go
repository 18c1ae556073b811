// Package bench measures a farm from outside: real server and builder processes,
// the real protocols, nothing tuned. It decides nothing: none of its figures is a
// limit that something has to keep.
package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"plague"
	"plague/internal/wire"
)

// A Shape is the farm that a measurement wants.
type Shape struct {
	Builders   int    // each with one slot
	Createrepo bool   // repodata by createrepo_c; otherwise a plain list
	Database   string // DSN of an empty database; empty: SQLite
	History    int    // jobs of the past in the database
	Simulated  int    // builders that the measurement plays itself, at the farm's Places
}

// A Farm is one that runs, and nobody else uses.
type Farm struct {
	Target     string
	Arch       string
	Dir        string                  // folder on the disk that the farm uses
	Results    string                  // folder of the result tree
	Database   string                  // path or DSN
	Repository string                  // address of the target's repository for Arch
	HTTP       *http.Client            // for Repository
	Client     func() (*Client, error) // a new connection of the farm's user
	Processes  func() map[string][]int // ids of those that live, by "server" and "builder"
	OnPostgres bool                    // Database is a DSN
	Places     []Place                 // of the simulated builders
	Stop       func() error            // stops it; its files stay
	Close      func() error            // stops it and gives up its folder
}

// A Client is one user's connection.
type Client struct {
	*wire.User
	// Upload brings an SRPM to the server and gives what submits it.
	Upload func(ctx context.Context, file string) (wire.Submission, error)
}

// Bench is a run of measurements.
type Bench struct {
	Make     func(context.Context, Shape) (*Farm, error)
	Jobs     int    // size of the history
	Postgres string // DSN of an empty PostgreSQL database; empty: it is not measured
	Log      *slog.Logger
}

// A Figure is one line of the answer.
type Figure struct {
	Name  string             `json:"name"`  // of the measurement, for --only
	What  string             `json:"what"`  // what was measured
	Value map[string]float64 `json:"value"` // by name, such as p50; see Unit
	Unit  string             `json:"unit"`  // ms, s, /s, MB
	Aim   string             `json:"aim,omitempty"`
	Peers string             `json:"peers,omitempty"`
	Note  string             `json:"note,omitempty"`
}

// A measurement makes its own farm, so that none sees what another left.
type measurement struct {
	name string
	run  func(*Bench, context.Context) ([]Figure, error)
}

func measurements() []measurement {
	return []measurement{
		{"disk", (*Bench).disk},
		{"begun", (*Bench).begun},
		{"burst", (*Bench).burst},
		{"chain", (*Bench).chain},
		{"submit", (*Bench).submissions},
		{"installable", (*Bench).installable},
		{"list", (*Bench).lists},
		{"memory", (*Bench).memory},
	}
}

// Names lists what can be measured.
func Names() []string {
	var names []string
	for _, m := range measurements() {
		names = append(names, m.name)
	}
	return names
}

// Run measures what only names, or everything.
func (b *Bench) Run(ctx context.Context, only []string) ([]Figure, error) {
	for _, name := range only {
		if !slices.Contains(Names(), name) {
			return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("nothing is measured under the name %q", name), "the names are "+strings.Join(Names(), ", "))
		}
	}
	var all []Figure
	for _, m := range measurements() {
		if len(only) > 0 && !slices.Contains(only, m.name) {
			continue
		}
		b.Log.InfoContext(ctx, "measuring", "what", m.name)
		began := time.Now()
		figures, err := m.run(b, ctx)
		if err != nil {
			return all, fmt.Errorf("measure %s: %w", m.name, err)
		}
		b.Log.InfoContext(ctx, "measured", "what", m.name, "took", time.Since(began).Round(time.Millisecond))
		for _, f := range figures {
			f.Name = m.name
			all = append(all, f)
		}
	}
	return all, nil
}

// with runs f on a farm and stops that.
func (b *Bench) with(ctx context.Context, s Shape, f func(*Farm) error) (err error) {
	farm, err := b.Make(ctx, s)
	if err != nil {
		return fmt.Errorf("farm: %w", err)
	}
	defer func() {
		if cerr := farm.Close(); err == nil {
			err = cerr
		}
	}()
	return f(farm)
}
