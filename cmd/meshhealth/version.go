package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build describes the version from which this program was built.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	info, _ := debug.ReadBuildInfo() // nil if the program was built without modules
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return b
	}
	if b.Version = info.Main.Version; b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func buildVersion() string { return thisBuild().Version }

func (b build) String() string {
	text := fmt.Sprintf("meshhealth %s (%s, %s", b.Version, b.Go, b.Platform)
	if b.Revision != "" {
		text += ", " + b.Revision[:min(12, len(b.Revision))]
	}
	if b.Modified {
		text += ", modified"
	}
	return text + ")"
}

func versionCommand(a *app) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(cmd); err != nil {
				return err
			}
			return a.printVersion(&out, thisBuild())
		},
	}
	out.addFormat(cmd)
	return cmd
}

func (a *app) printVersion(out *output, b build) error {
	if !out.json() {
		_, err := fmt.Fprintln(a.stdout, b)
		return err
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return printLine(a.stdout, text)
}
