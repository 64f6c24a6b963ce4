package main

import (
	"context"
	"errors"
	"flag"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/metadata"
)

func probeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe HOST:PORT [flags]",
		Short: "Ask one server, as grpc-health-probe does",
		Long: `Ask one server for its health, once. This is for probes, such as those of kubelet.

The command accepts the command lines of grpc-health-probe, with one dash or two,
and has its exit codes. HOST:PORT may be any target of gRPC: :PORT,
unix:///PATH, dns:///HOST:PORT, passthrough:///HOST:PORT. DEGRADED counts as
healthy and is printed. If -addr is given, the first argument that is no flag is
ignored, with all arguments after it. grpc-health-probe does the same, but without
a warning. Proxies of the environment are not used.

The exit code is
  0 SERVING, or DEGRADED   1 wrong arguments   2 not connected
  3 not answered           4 anything else     20 no SPIFFE credentials

Flags:
` + probeFlags(),
		Example: `  meshhealth probe localhost:9000
  meshhealth probe -addr=localhost:9000 -service=payments -rpc-timeout=500ms
  meshhealth probe localhost:9000 --watch`,
		// The flags must work as for grpc-health-probe, which uses the package flag and not cobra.
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parseProbe(args)
			switch {
			case errors.Is(err, flag.ErrHelp):
				return cmd.Help()
			case err != nil:
				a.printError(hintedAll(err, "Try `meshhealth probe --help`."))
				return exitCode(probeArguments)
			case p.version:
				return a.printVersion(&output{format: "table"}, thisBuild())
			}
			return p.run(cmd.Context(), a)
		},
	}
	cmd.Flags().BoolP("help", "h", false, "")
	_ = cmd.Flags().MarkHidden("help")
	return cmd
}

// run connects to the server and prints the status of the service once. With the flag -watch, it
// prints each change of the status.
func (p *probe) run(ctx context.Context, a *app) error {
	if len(p.ignored) > 0 {
		a.say("meshhealth: arguments from %q on are ignored, since it is no flag", p.ignored[0])
	}
	conn, code, err := p.dial()
	if err == nil {
		defer conn.Close()
		code, err = probeConnect, p.connect(ctx, conn)
	}
	if err != nil {
		a.printError(err)
		return code
	}
	if p.verbose {
		a.say("connected to %s", p.address)
	}
	ctx = metadata.NewOutgoingContext(ctx, p.headers.MD)
	if p.watch {
		return p.watchChanges(ctx, a, conn)
	}
	return p.checkOnce(ctx, a, conn)
}
