package cli

import (
	"cmp"
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
	since  ageFlag
	until  ageFlag
	before string
	after  string
	oldest bool
	json   bool
}

func listCommand(s Streams) *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "list jobs, your own unless asked otherwise",
		Long: `List jobs, those submitted last first: your own, unless --all or --user says
otherwise. Each job has a line, and one more for each arch that it is built for.

Where the limit leaves jobs out, the last words say how to get the next page;
with --json they are the member "before" or "after" beside "jobs".

` + ages + `

` + exitCodes,
		Example: `  plague-client list
  plague-client list --all --status building --status failed
  plague-client list --all --since 1w --until 1d --target devel
  plague-client list --package ethtool --before 1234 --json`,
		Args: cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *client, _ []string) error { return f.list(ctx, s, c) }),
	}
	flags := c.Flags()
	flags.BoolVarP(&f.all, "all", "a", false, "everybody's jobs")
	flags.StringVar(&f.user, "user", "", "the jobs of this `e-mail`")
	flags.StringSliceVar(&f.status, "status", nil, "only jobs in this `state`; may be repeated")
	flags.StringVar(&f.pkg, "package", "", "only jobs of this source package by `name`")
	flags.StringVar(&f.target, "target", "", "only jobs for this target, by `name` or alias")
	flags.Var(&f.since, "since", "only jobs submitted at or after this `time`")
	flags.Var(&f.until, "until", "only jobs submitted before this `time`")
	flags.StringVar(&f.before, "before", "", "only jobs submitted before the one with this `uid`: the next page")
	flags.StringVar(&f.after, "after", "", "only jobs submitted after the one with this `uid`: the next page of --oldest")
	flags.BoolVar(&f.oldest, "oldest", false, "the oldest first")
	flags.IntVar(&f.limit, "limit", 50, "the first `n` of them")
	flags.BoolVar(&f.json, "json", false, "answer in JSON")
	completeList(c)
	return c
}

func (f *listFlags) list(ctx context.Context, s Streams, c *client) error {
	filter, err := f.filter()
	if err != nil {
		return err
	}
	if filter.Username == "" && !f.all {
		me, err := c.WhoAmI(ctx)
		if err != nil {
			return err
		}
		filter.Username = me.Email
	}
	jobs, err := f.fetch(ctx, c, filter)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(s.Out, jobs)
	}
	if screen := newScreen(s.Out); screen.terminal() {
		showJobTable(screen, jobs.Jobs)
	} else if err := showJobs(s, jobs.Jobs); err != nil {
		return err
	}
	return jobs.showNext(s)
}

// filter turns the flags into a filter of the protocol.
func (f *listFlags) filter() (wire.ListFilter, error) {
	out := wire.ListFilter{Status: f.status, Username: f.user, Package: f.pkg, Target: f.target, Since: f.since.unix, Until: f.until.unix}
	if f.limit < 1 {
		return out, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("--limit %d shows nothing", f.limit), "give a number above 0")
	}
	if f.all && f.user != "" {
		return out, plague.Refuse(plague.ErrInvalid, "--all and --user exclude each other", "")
	}
	if f.oldest {
		out.Orderby = []string{"uid"}
	}
	for _, cursor := range []struct {
		text string
		into *plague.JobID
	}{{f.before, &out.Before}, {f.after, &out.After}} {
		if cursor.text == "" {
			continue
		}
		uids, err := jobIDs([]string{cursor.text})
		if err != nil {
			return out, err
		}
		*cursor.into = uids[0]
	}
	return out, nil
}

// jobPage is what list shows, and which flag gives the next page: at most one of
// the two, none on the last.
type jobPage struct {
	Jobs   []wire.JobRecord
	Before plague.JobID `xmlrpc:"before,omitempty"`
	After  plague.JobID `xmlrpc:"after,omitempty"`
}

// showNext keeps to the side of errors: what reads the list of 2005 reads no more.
func (p jobPage) showNext(s Streams) (err error) {
	switch {
	case p.Before > 0:
		_, err = fmt.Fprintf(s.Err, "older jobs: the same with --before %d\n", p.Before)
	case p.After > 0:
		_, err = fmt.Fprintf(s.Err, "newer jobs: the same with --after %d\n", p.After)
	}
	return err
}

// pageSize is the most jobs that the server gives in one answer.
const pageSize = 1000

// fetch gets page after page until the limit, and one job more: whether there is
// a next page.
func (f *listFlags) fetch(ctx context.Context, c *client, filter wire.ListFilter) (jobPage, error) {
	page, cursor := jobPage{Jobs: []wire.JobRecord{}}, &filter.Before
	if f.oldest {
		cursor = &filter.After
	}
	for len(page.Jobs) <= f.limit {
		filter.Maxrows = min(pageSize-1, f.limit-len(page.Jobs)) + 1
		jobs, err := c.Jobs(ctx, filter)
		if err != nil {
			return page, err
		}
		page.Jobs = append(page.Jobs, jobs...)
		if len(jobs) < filter.Maxrows {
			return page, nil
		}
		*cursor = jobs[len(jobs)-1].Uid
	}
	page.Jobs = page.Jobs[:f.limit]
	if last := page.Jobs[f.limit-1].Uid; f.oldest {
		page.After = last
	} else {
		page.Before = last
	}
	return page, nil
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
			{text: oneLine(j.Username)}, {text: when(submitted(j))}, {text: strings.Join(arches, ", ")},
		})
	}
	s.table([]string{"UID", "STATUS", "PACKAGE", "TARGET", "USER", "SUBMITTED", "ARCHES"}, rows)
}

// submitted is when a job was; an older server tells of its run alone.
func submitted(j wire.JobRecord) int64 { return cmp.Or(j.SubmittedAt, j.Starttime) }

// nvr is name-version-release as far as it is known.
func nvr(j wire.JobRecord) string {
	named := plague.Job{Package: j.Package, Version: j.RpmVersion, Release: j.RpmRelease}
	return named.NVR()
}
