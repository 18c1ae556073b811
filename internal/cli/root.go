package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"plague"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// exitCodes is what every command's exit code means.
const exitCodes = `Exit codes:
  0    it is done
  1    an internal error
  2    the request is wrong: the same again fails again
  3    denied, by a capability or a certificate
  4    what was named does not exist
  5    refused: the state does not allow it, or somebody else was there first
  6    the build server, or something it needs, cannot be reached now
  10   a watched job failed
  11   a watched job was killed
  130  interrupted`

const (
	groupClient = "client"
	groupFarm   = "farm"
)

// rootCommand is the tree of commands under the name the program was called
// by. That name decides which commands come first, and nothing else.
func rootCommand(name string, s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   name,
		Short: "a build farm for RPM packages",
		Long: `Plague is a build farm for RPM packages: server, builder, client and certificate
authority in one program.

` + exitCodes,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(s.Err)
			return errors.Join(exitCode(2), cmd.Usage())
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.DisableAutoGenTag = true
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	client, farm := &cobra.Group{ID: groupClient, Title: "Commands for packagers:"}, &cobra.Group{ID: groupFarm, Title: "Commands for the farm:"}
	if name == "plague-client" {
		root.AddGroup(client, farm)
	} else {
		root.AddGroup(farm, client)
	}
	add(root, groupClient, clientCommands(s))
	add(root, groupFarm, []*cobra.Command{serverCommand(s), builderCommand(s), joinCommand(s), signerCommand(s), certCommand(s), userManagerCommand(s), certhelperCommand(s), doctorCommand(s), upCommand(s), downCommand(s), benchCommand(s)})
	add(root, "", []*cobra.Command{completionCommand(s), manCommand(), versionCommand(s), builderDaemonCommand(s), vacateCommand(), superviseCommand(s)})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misused(cmd, err.Error()) })
	oldName(root, name)
	return root
}

// clientCommands are what a packager needs.
func clientCommands(s Streams) []*cobra.Command {
	return []*cobra.Command{
		buildCommand(s), listCommand(s), detailCommand(s), whyCommand(s), watchCommand(s), killCommand(s), requeueCommand(s), finishCommand(s), priorityCommand(s),
		statusCommand(s), listBuildersCommand(s, "list_builders"), updateBuildersCommand(s), isPausedCommand(s), pauseCommand(s), unpauseCommand(s), repoCommand(s), usersCommand(s),
		eventsCommand(s), hooksCommand(s), mailCommand(s),
	}
}

// add puts commands into a group. A wrong number of arguments gets a kind, so
// that it has the exit code of a wrong request.
func add(root *cobra.Command, group string, commands []*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		if check := c.Args; check != nil {
			c.Args = func(cmd *cobra.Command, args []string) error {
				if err := check(cmd, args); err != nil {
					return misused(cmd, "Invalid number of arguments.")
				}
				return nil
			}
		}
		root.AddCommand(c)
	}
}

// misused is the error of a command line that cannot be understood, followed by
// how the command is used.
func misused(cmd *cobra.Command, text string) error {
	return plague.Refuse(plague.ErrInvalid, text+"\n"+strings.TrimRight(cmd.UsageString(), "\n"), "")
}

// knownCommand refuses a word that is no command, and offers the nearest.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("unknown command %q", args[0]), nearestHint(args[0], names, "the commands are "))
}

// nearestHint offers the nearest name, or all when none is near.
func nearestHint(word string, names []string, all string) string {
	if near := plague.Nearest(word, names); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return all + strings.Join(names, ", ")
}

// oldName lets a program of 2005 show its usage under its own name.
func oldName(root *cobra.Command, name string) {
	old := strings.TrimSuffix(name, ".py")
	for _, c := range root.Commands() {
		if old == "plague-"+c.Name() && c.GroupID == groupFarm {
			_, args, _ := strings.Cut(c.Use, " ")
			c.SetUsageTemplate(strings.ReplaceAll(c.UsageTemplate(), "{{.UseLine}}", name+" "+args))
		}
	}
}

// certhelperCommand is plague-certhelper, for whom the binary has no other name.
func certhelperCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:                "certhelper ca|normal",
		Short:              "make CAs and certificates",
		DisableFlagParsing: true, // it reads its own, as in 2005
		RunE: func(cmd *cobra.Command, args []string) error {
			if code := certhelper(cmd.Context(), args, s.In, s.Out, s.Err); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
}

func completionCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "write the completion script of a shell",
		Long: `Write the script that lets a shell complete the program's commands and flags.

` + exitCodes,
		Example:   "  plague-client completion bash > /etc/bash_completion.d/plague-client",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(s.Out, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(s.Out)
			case "fish":
				return cmd.Root().GenFishCompletion(s.Out, true)
			}
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("there is no completion for %q", args[0]), nearestHint(args[0], cmd.ValidArgs, "the shells are "))
		},
	}
}

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man directory",
		Short:  "write the manual pages",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return plague.Refuse(plague.ErrInvalid, "make the folder of the manual pages: "+err.Error(), "")
			}
			return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Section: "1", Source: "Plague", Manual: "Plague"}, args[0])
		},
	}
}
