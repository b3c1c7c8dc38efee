using NetKernel.ControlPlane;
using NetKernel.ControlPlane.Configuration;
using NetKernel.ControlPlane.Services;

if (args is ["--help" or "-h" or "--manual" or "--manual-conf"])
{
    string version = typeof(NkdOptions).Assembly.GetName().Version!.ToString(3);
    Console.Out.Write(args[0] switch
    {
        "--manual" => Manual.Page(version),
        "--manual-conf" => Manual.ConfigurationPage(version),
        _ => Manual.Help,
    });
    return 0;
}

try
{
    return await Daemon.RunAsync(NkdOptions.Parse(args));
}
catch (ServiceException e)
{
    await Console.Error.WriteLineAsync("nkd: " + e.Message);
    return e.Code == FailureCode.InvalidArgument ? 2 : 1;
}
