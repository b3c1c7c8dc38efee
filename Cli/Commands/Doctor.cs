namespace NetKernel.Cli.Commands;
internal static class Doctor { public static int Run(string directory, string format) => 0; }
