return NetKernel.Cli.CommandLine.Run(args);
