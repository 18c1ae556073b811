package cli

import (
	"context"
	"fmt"
	"strconv"

	"plague"
	"plague/internal/wire"

	"github.com/spf13/cobra"
)

func detailCommand(s Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "detail uid",
		Short: "show all about a job",
		Long: `Show all about a job: its state, why it is in it, its arch jobs with their
builders, and where its results are below the address of the web.

` + exitCodes,
		Example: "  plague-client detail 12",
		Args:    cobra.ExactArgs(1),
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			uids, err := jobIDs(args)
			if err != nil {
				return err
			}
			j, err := c.Job(ctx, uids[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.Out, j)
			}
			showDetail(newScreen(s.Out), j)
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return c
}

// jobIDs reads uids from a command line.
func jobIDs(args []string) ([]plague.JobID, error) {
	var uids []plague.JobID
	for _, a := range args {
		n, err := strconv.ParseInt(a, 10, 64)
		if err != nil || n < 1 {
			return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("Error: Invalid job UID. %q is no number above 0", a), "`plague-client list` shows the uids of your jobs")
		}
		uids = append(uids, plague.JobID(n))
	}
	return uids, nil
}

func showDetail(s screen, j wire.JobRecord) {
	fmt.Fprintf(s, "%d: %s (%s) %s %s\n", j.Uid, oneLine(j.Package), oneLine(j.Source), oneLine(j.Username), s.state(j.Status, j.Status))
	line := func(name, value string) {
		if value != "" && value != "0" {
			fmt.Fprintf(s, "  %-10s %s\n", name+":", oneLine(value))
		}
	}
	line("package", nvr(j))
	line("target", j.Target)
	if j.Scratch {
		line("scratch", "yes: it is not published")
	}
	line("submitted", when(submitted(j)))
	if j.Run > 1 {
		line("requeued", when(j.Starttime))
	}
	line("ended", when(j.Endtime))
	if j.Run > 1 {
		line("run", strconv.Itoa(j.Run))
	}
	line("priority", fmt.Sprint(j.Priority))
	line("waits for", fmt.Sprint(j.WaitsFor))
	if j.SourceUrl != "" {
		line("made of", fmt.Sprintf("%s, revision %s", j.SourceUrl, j.SourceRevision))
	}
	for i, rule := range j.ArchRules {
		name := "arches"
		if i > 0 {
			name = ""
		}
		showRule(s, name, rule)
	}
	line("reason", j.Reason)
	line("snapshot", fmt.Sprint(j.Snapshot))
	if j.RetiredAt != 0 {
		line("retired", retirement(j))
	}
	line("results", j.Results)
	for _, a := range j.Archjobs {
		showArchJob(s, a)
	}
}

// showRule says of an arch why the job is built for it, or is not.
func showRule(s screen, name string, r wire.ArchRule) {
	built := "built"
	if !r.Built {
		built = "not built"
	}
	if name != "" {
		name += ":"
	}
	fmt.Fprintf(s, "  %-10s %s %s: %s\n", name, oneLine(r.Arch), built, oneLine(r.Rule))
}

// retirement says by whom a job was taken out of its repository, and why.
func retirement(j wire.JobRecord) string {
	text := fmt.Sprintf("%s by %s", when(j.RetiredAt), j.RetiredBy)
	if j.RetiredIn != 0 {
		text += fmt.Sprintf(", gone with snapshot %d", j.RetiredIn)
	}
	if j.RetiredWhy != "" {
		text += ": " + j.RetiredWhy
	}
	return text
}

func showArchJob(s screen, a wire.ArchJobRecord) {
	fmt.Fprintf(s, "\t%s(%s): %d %s/%s\n", oneLine(a.BuilderAddr), oneLine(a.Arch), a.Jobid, s.state(a.Status, a.Status), a.BuilderStatus)
	if a.Starttime != 0 {
		fmt.Fprintf(s, "\t  attempt %d, begun %s, ended %s\n", a.Attempt, when(a.Starttime), when(a.Endtime))
	}
	if a.Reason != "" {
		fmt.Fprintf(s, "\t  %s\n", oneLine(a.Reason))
	}
}
