package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"plague"
	"plague/internal/bench"

	"github.com/spf13/cobra"
)

// benchFlags choose what is measured, and on what.
type benchFlags struct {
	dir      string
	only     []string
	jobs     int
	postgres string
	keep     bool
	json     bool
	left     []string // folders that are to be removed
}

func benchCommand(s Streams) *cobra.Command {
	var b benchFlags
	c := &cobra.Command{
		Use:   "bench",
		Short: "measure a throw-away farm on this machine",
		Long: `Measure what the farm itself costs: each measurement makes a farm of its own on
loopback, with its own CAs, server and builders as real processes, everything at
its defaults, and stops it again. Builders build nothing (backend = null) and,
but where it is said, repositories get a plain list in place of createrepo_c's
metadata. Needs root, as a builder does. No figure is a limit; beside each stand
our aim and what others measured on a machine of two cores.

  disk         the disk, on which every promise waits
  begun        from the call that submits a job to the begin of its build
  burst        100 jobs at once, until the last has begun
  chain        three jobs of which each waits for the one before
  submit       submissions a second
  installable  from an accepted RPM to a reader of the repository who sees it
  list         pages of a long history; --postgres measures that database, too
  memory       the processes of a farm with 100,000 jobs in its database

` + exitCodes,
		Example: `  plague bench
  plague bench --only begun,burst --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context(), s) },
	}
	add(c, "", []*cobra.Command{benchFarmCommand(s)})
	f := c.Flags()
	b.addFlags(c)
	f.StringSliceVar(&b.only, "only", nil, "measure only what has this `name`: "+strings.Join(bench.Names(), ", "))
	f.IntVar(&b.jobs, "jobs", 1_000_000, "`number` of jobs in the history that list shows")
	return c
}

// addFlags adds what every measurement has.
func (b *benchFlags) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&b.dir, "dir", "/var/lib/plague", "`folder` in which the farms are made; its disk is what is measured")
	f.StringVar(&b.postgres, "postgres", "", "postgres:// `DSN` of an empty database; what is written there stays")
	f.BoolVar(&b.keep, "keep", false, "keep the farms' folders")
	f.BoolVar(&b.json, "json", false, "answer in JSON")
}

func (b *benchFlags) run(ctx context.Context, s Streams) error {
	return b.runFigures(s, func(run bench.Bench) ([]bench.Figure, error) {
		if b.jobs < 1000 {
			return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("--jobs %d has no middle worth a page", b.jobs), "give 1000 at least")
		}
		return run.Run(ctx, b.only)
	})
}

// runFigures measures and prints, also what was measured before something failed, and
// then removes the farms: with millions of files that takes minutes.
func (b *benchFlags) runFigures(s Streams, measure func(bench.Bench) ([]bench.Figure, error)) error {
	if err := b.mayMeasure(); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(s.Err, nil))
	err := b.printFigures(s, log, measure)
	if len(b.left) > 0 {
		log.Info("removing the farms", "folders", b.left)
	}
	for _, dir := range b.left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// leave takes a folder that is to be removed at the end.
func (b *benchFlags) leave(dir string) { b.left = append(b.left, dir) }

func (b *benchFlags) printFigures(s Streams, log *slog.Logger, measure func(bench.Bench) ([]bench.Figure, error)) error {
	before := loadAverage()
	run := bench.Bench{
		Jobs: b.jobs, Postgres: b.postgres, Log: log,
		Make: func(ctx context.Context, shape bench.Shape) (*bench.Farm, error) { return b.farm(ctx, s, shape) },
	}
	figures, err := measure(run)
	after := loadAverage()
	if b.json {
		if jerr := printJSON(s.Out, map[string]any{"version": version(), "cpus": runtime.NumCPU(), "load_before": before, "load_after": after, "figures": figures}); err == nil {
			err = jerr
		}
		return err
	}
	if terr := bench.Table(s.Out, figures); err == nil {
		err = terr
	}
	fmt.Fprintf(s.Out, "\nplague %s, %d CPUs, load %s before and %s after\n", version(), runtime.NumCPU(), before, after)
	return err
}

// loadAverage says how busy the machine was besides: figures of a busy one say
// little.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
