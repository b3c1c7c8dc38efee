using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>nginx with two workers and one small page, in guest a.</summary>
internal static class Nginx
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    /// <summary>Starts it and waits until it answers.</summary>
    public static GuestProcess Start(NkInstance nk)
    {
        string folder = Path.Combine(nk.Folder, "www");
        _ = Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "index.html"), "served");
        string configuration = Path.Combine(nk.Folder, "nginx.conf");
        File.WriteAllText(
            configuration,
            $$"""
            worker_processes 2; daemon off; pid {{nk.Folder}}/nginx.pid; error_log {{nk.Folder}}/nginx.log;
            events { worker_connections 256; }
            http { access_log off; server { listen 80; root {{folder}}; } }
            """);
        GuestProcess nginx = nk.Start("a", "nginx", "-c", configuration);
        Assert.True(NkInstance.WaitFor(() => Answers(nk), Time), $"nginx does not answer: {nginx.Error}");
        return nginx;
    }

    /// <summary>Whether it serves the page to the machine outside.</summary>
    public static bool Answers(NkInstance nk) =>
        nk.Outside.Run(TimeSpan.FromSeconds(5), "curl", "-s", "-m", "2", $"http://{nk.Ipv4("a")}/").Output == "served";
}
