namespace NetKernel.Cli.Demo;
internal static class DemoRun { public static int Run(bool keepLogs) => 0; }
