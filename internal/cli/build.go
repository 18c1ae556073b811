package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"plague"
	"plague/internal/wire"
	"plague/internal/xmlrpc"

	"github.com/spf13/cobra"
)

// buildFlags are what build can be asked beyond 2005.
type buildFlags struct {
	after      int64
	scratch    bool
	priority   int
	background bool
	watch      bool
	json       bool
}

func buildCommand(s Streams) *cobra.Command {
	var f buildFlags
	c := &cobra.Command{
		Use:   "build [package] file.src.rpm|tag target",
		Short: "build a package from its SRPM, or from a tag",
		Long: `Build a package from its SRPM for a target, which may be named by an alias such
as devel. The SRPM is uploaded unless the server has it already; an upload that
was cut off goes on where it ended. Without the package's name it is read from
the SRPM.

What does not end in .src.rpm and has no / in it, or is no file here, is a tag (in
git a branch or commit, too) of the package in the target's source control system:
a builder fetches it and makes the SRPM.

With allow_uploads = no in the configuration nothing is uploaded: the file is an
absolute path on the build server.

` + exitCodes,
		Example: `  plague-client build ethtool /home/me/ethtool-1.8-4.src.rpm devel
  plague-client build --watch ./jq-1.7-1.src.rpm devel
  plague-client build --after 12 ./jq-1.7-1.src.rpm devel
  plague-client build ethtool ethtool-1_8-4 devel`,
		Args: cobra.RangeArgs(2, 3),
		RunE: withClient(func(ctx context.Context, c *client, args []string) error {
			return f.build(ctx, s, c, args)
		}),
	}
	flags := c.Flags()
	flags.Int64Var(&f.after, "after", 0, "begin when this `job` is in the repository")
	flags.BoolVar(&f.scratch, "scratch", false, "build only; nothing is published")
	flags.BoolVar(&f.background, "background", false, "let others go first for a day, as a mass rebuild should")
	flags.IntVar(&f.priority, "priority", 0, "a `number` below 0 lets others go first; above 0 needs server_admin")
	c.MarkFlagsMutuallyExclusive("background", "priority")
	flags.BoolVarP(&f.watch, "watch", "w", false, "follow the job to its end")
	flags.BoolVar(&f.json, "json", false, "answer in one line of JSON")
	return c
}

// build submits a job and, if asked to, watches it.
func (f *buildFlags) build(ctx context.Context, s Streams, c *client, args []string) error {
	if f.background {
		f.priority = plague.Background
	}
	pkg, source, target := "", args[0], args[1]
	if len(args) == 3 {
		pkg, source, target = args[0], args[1], args[2]
	}
	var done wire.Submitted
	var err error
	if isTag(pkg, source) {
		done, err = f.tag(ctx, c, pkg, source, target)
	} else if c.cfg.allowUploads {
		done, err = f.upload(ctx, s, c, pkg, source, target)
	} else {
		done, err = f.enqueue(ctx, c, pkg, source, target)
	}
	if err != nil {
		return err
	}
	if err := f.answer(s, done); err != nil {
		return err
	}
	if f.watch {
		return watchJobs(ctx, s, c, watchFlags{json: f.json}, []plague.JobID{done.UID})
	}
	return nil
}

// answer says that the job is enqueued, with the words of 2005.
func (f *buildFlags) answer(s Streams, done wire.Submitted) error {
	if f.json {
		return printJSONLine(s.Out, map[string]any{"uid": int(done.UID), "message": done.Message})
	}
	if _, err := fmt.Fprintln(s.Out, done.Message); err != nil {
		return err
	}
	if !f.watch && newScreen(s.Err).terminal() {
		fmt.Fprintf(s.Err, "Job %d: plague watch %d follows it\n", done.UID, done.UID)
	}
	return nil
}

// isTag says whether a source is a tag and not an SRPM: by its name, as in 2005, where
// a path has a slash, and by what is here, for branches of git have one, too.
func isTag(pkg, source string) bool {
	if pkg == "" || strings.HasSuffix(source, ".src.rpm") || filepath.IsAbs(source) || strings.HasPrefix(source, ".") {
		return false
	}
	_, err := os.Lstat(source)
	return err != nil
}

// tag submits a job whose SRPM a builder makes.
func (f *buildFlags) tag(ctx context.Context, c *client, pkg, tag, target string) (wire.Submitted, error) {
	return c.Submit(ctx, wire.Submission{
		Package: pkg, Tag: tag, Target: target, After: plague.JobID(f.after), Scratch: f.scratch, Priority: f.priority,
	})
}

// upload submits an SRPM of this machine. The server is asked first: it may
// refuse the job, or have the file already.
func (f *buildFlags) upload(ctx context.Context, s Streams, c *client, pkg, source, target string) (wire.Submitted, error) {
	srpm, err := openSRPM(source, pkg)
	if err != nil {
		return wire.Submitted{}, err
	}
	defer srpm.file.Close()
	request := wire.Submission{
		Package: srpm.name, Source: filepath.Base(source), SRPM: srpm.digest, Size: srpm.size, Target: target,
		After: plague.JobID(f.after), Scratch: f.scratch, Priority: f.priority,
	}
	answer, err := c.Submit(ctx, request)
	// What was uploaded may be gone again if nobody has used it for a day.
	for tries := 0; err == nil && answer.Upload && tries < 3; tries++ {
		if err := c.upload(ctx, s, srpm, answer.Offset); err != nil {
			return answer, err
		}
		answer, err = c.Submit(ctx, request)
	}
	if err == nil && answer.Upload {
		return answer, plague.Refuse(plague.ErrUnavailable, "the build server does not keep the upload", "its disk may be full; try again later")
	}
	return answer, err
}

// enqueue asks with the call of 2005 for a build of a file on the server.
func (f *buildFlags) enqueue(ctx context.Context, c *client, pkg, source, target string) (wire.Submitted, error) {
	var none wire.Submitted
	if f.after != 0 || f.scratch || f.priority != 0 {
		return none, plague.Refuse(plague.ErrInvalid, "--after, --scratch, --priority and --background need an upload, and allow_uploads is no", "set allow_uploads = yes in "+c.cfg.file)
	}
	if !filepath.IsAbs(source) || !strings.HasSuffix(source, ".src.rpm") {
		return none, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is not the absolute path of a .src.rpm on the build server, which allow_uploads = no asks for", source),
			"set allow_uploads = yes in "+c.cfg.file)
	}
	if pkg == "" {
		srpm, err := openSRPM(source, "")
		if err != nil {
			return none, err
		}
		srpm.file.Close()
		pkg = srpm.name
	}
	v, err := c.RPC.Call(ctx, wire.CallEnqueue, c.cfg.email, pkg, source, target)
	if err != nil {
		return none, wire.Kind(err)
	}
	return enqueued(v)
}

// enqueued reads the answer (code, message, uid) of enqueue.
func enqueued(v any) (wire.Submitted, error) {
	var out wire.Submitted
	answer, ok := v.([]any)
	if !ok || len(answer) < 2 {
		return out, fmt.Errorf("the answer of %s is not (code, message, uid)", wire.CallEnqueue)
	}
	var code int
	if err := xmlrpc.Unmarshal(answer[0], &code); err != nil {
		return out, fmt.Errorf("answer of %s: code: %w", wire.CallEnqueue, err)
	}
	if err := xmlrpc.Unmarshal(answer[1], &out.Message); err != nil {
		return out, fmt.Errorf("answer of %s: message: %w", wire.CallEnqueue, err)
	}
	if code < 0 {
		return out, plague.Refuse(plague.ErrInvalid, out.Message, "")
	}
	if len(answer) > 2 {
		if err := xmlrpc.Unmarshal(answer[2], &out.UID); err != nil {
			return out, fmt.Errorf("answer of %s: uid: %w", wire.CallEnqueue, err)
		}
	}
	return out, nil
}

// notAnSRPM explains what build takes, for a source that is no file here.
func notAnSRPM(source string, err error) error {
	if !strings.HasSuffix(source, ".src.rpm") && !strings.Contains(source, string(os.PathSeparator)) {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s is no file; if it is a tag, name the package before it", source),
			"plague-client build <package> <tag> <target>, or the path of a .src.rpm")
	}
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the SRPM cannot be read: %v", err), "give the path of a .src.rpm on this machine")
}
