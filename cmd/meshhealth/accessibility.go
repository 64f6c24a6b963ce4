package main

import "github.com/spf13/cobra"

// accessibilityTopic returns the help topic that `meshhealth help accessibility` prints.
func accessibilityTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "accessibility",
		Short: "About screen readers, colours and characters",
		Long: `Every status is a word. Colours and symbols repeat what the words say.

Screen readers
  --plain, or the environment variable ACCESSIBLE=1, prints one fact a line: no
  columns, no colours, and no line that is written twice. A row of a table becomes
  "status: NOT_SERVING; name: payments/b; for: 1m30s". The command watch prints
  one line for each change and reads no keys.

Colours
  --color auto uses colours on a terminal, unless NO_COLOR is set or TERM is dumb.
  --color always and --color never decide alone. Statuses are cyan, yellow and
  bold red, which most colour-blind people can distinguish.

Characters
  If LC_ALL, LC_CTYPE or LANG names a locale without UTF-8, such as C, all symbols
  are ASCII characters:
    SERVING +  DEGRADED !  NOT_SERVING X  UNKNOWN ?  STARTING o  DRAINING v
    MAINTENANCE #   unconfirmed ~

Narrow terminals
  A row is never longer than the terminal. Columns are omitted, and texts are cut.
  In a pipe, and with -o json or -o tsv, nothing is omitted or cut.

Scripts
  Results go to stdout, messages to stderr. The exit code is the status.
  -o json prints one object a line.`,
	}
}
