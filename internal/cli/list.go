package cli

import (
	"context"
	"fmt"
	"strings"

	"plague"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

// listFlags choose the jobs that list shows.
type listFlags struct {
	all    bool
	user   string
	status []string
	pkg    string
	target string
	limit  int
	json   bool
}

func listCommand(s Streams) *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "list jobs, your own unless asked otherwise",
		Long: `List jobs, newest first: your own, unless --all or --user says otherwise.
Each job has a line, and one more for each arch that it is built for.

` + exitCodes,
		Example: `  plague-client list
  plague-client list --all --status building --status failed
  plague-client list --package ethtool --json`,
		Args: cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *client, _ []string) error { return f.list(ctx, s, c) }),
	}
	flags := c.Flags()
	flags.BoolVarP(&f.all, "all", "a", false, "everybody's jobs")
	flags.StringVar(&f.user, "user", "", "the jobs of this `e-mail`")
	flags.StringSliceVar(&f.status, "status", nil, "only jobs in this `state`; may be repeated")
	flags.StringVar(&f.pkg, "package", "", "only jobs of this source package by `name`")
	flags.StringVar(&f.target, "target", "", "only jobs for this target, by `name` or alias")
	flags.IntVar(&f.limit, "limit", 50, "the newest `n` of them")
	flags.BoolVar(&f.json, "json", false, "answer in JSON")
	return c
}

func (f *listFlags) list(ctx context.Context, s Streams, c *client) error {
	if f.limit < 1 {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("--limit %d shows nothing", f.limit), "give a number above 0")
	}
	if f.all && f.user != "" {
		return plague.Refuse(plague.ErrInvalid, "--all and --user exclude each other", "")
	}
	user := f.user
	if user == "" && !f.all {
		me, err := c.WhoAmI(ctx)
		if err != nil {
			return err
		}
		user = me.Email
	}
	jobs, err := f.fetch(ctx, c, wire.ListFilter{Status: f.status, Username: user, Package: f.pkg, Target: f.target})
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(s.Out, jobs)
	}
	if screen := newScreen(s.Out); screen.terminal() {
		showJobTable(screen, jobs)
		return nil
	}
	return showJobs(s, jobs)
}

// pageSize is the most jobs that the server gives in one answer.
const pageSize = 1000

// fetch gets page after page until the limit.
func (f *listFlags) fetch(ctx context.Context, c *client, filter wire.ListFilter) ([]wire.JobRecord, error) {
	all := []wire.JobRecord{}
	for len(all) < f.limit {
		filter.Maxrows = min(pageSize, f.limit-len(all))
		page, err := c.Jobs(ctx, filter)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < filter.Maxrows {
			break
		}
		filter.Before = page[len(page)-1].Uid
	}
	return all, nil
}

// showJobs is the output of 2005, for whatever reads it.
func showJobs(s Streams, jobs []wire.JobRecord) error {
	for _, j := range jobs {
		if _, err := fmt.Fprintf(s.Out, "%d: %s (%s) %s %s\n", j.Uid, oneLine(j.Package), oneLine(j.Source), oneLine(j.Username), j.Status); err != nil {
			return err
		}
		for _, a := range j.Archjobs {
			if _, err := fmt.Fprintf(s.Out, "\t%s(%s): %d %s/%s\n", oneLine(a.BuilderAddr), oneLine(a.Arch), a.Jobid, a.Status, a.BuilderStatus); err != nil {
				return err
			}
		}
	}
	return nil
}

// showJobTable is the same for people.
func showJobTable(s screen, jobs []wire.JobRecord) {
	var rows [][]cell
	for _, j := range jobs {
		var arches []string
		for _, a := range j.Archjobs {
			arches = append(arches, oneLine(a.Arch)+" "+a.Status)
		}
		rows = append(rows, []cell{
			{text: fmt.Sprint(j.Uid)}, {text: j.Status, state: j.Status}, {text: oneLine(nvr(j))}, {text: oneLine(j.Target)},
			{text: oneLine(j.Username)}, {text: when(j.Starttime)}, {text: strings.Join(arches, ", ")},
		})
	}
	s.table([]string{"UID", "STATUS", "PACKAGE", "TARGET", "USER", "SUBMITTED", "ARCHES"}, rows)
}

// nvr is name-version-release as far as it is known.
func nvr(j wire.JobRecord) string {
	named := plague.Job{Package: j.Package, Version: j.RpmVersion, Release: j.RpmRelease}
	return named.NVR()
}
