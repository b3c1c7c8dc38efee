using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace NetKernel.Cli;

/// <summary>A way to a nkd elsewhere: its address, and a folder with ca.pem, NAME.pem and NAME.key as nk cert makes them. Written where a run directory is written otherwise.</summary>
internal sealed record Remote(string Address, string Folder, string Name)
{
    private const string Scheme = "https://";

    /// <summary>Null when it is a run directory.</summary>
    public static Remote? TryParse(string text)
    {
        string[] parts = text.Split('\n');
        return parts.Length == 3 && parts[0].StartsWith(Scheme, StringComparison.Ordinal) ? new Remote(parts[0], parts[1], parts[2]) : null;
    }

    /// <summary>What <see cref="TryParse"/> reads.</summary>
    public static string Text(string address, string folder, string name) => $"{Scheme}{address}\n{Path.GetFullPath(folder)}\n{name}";

    /// <summary>TLS with this certificate, to a server that the same authority has signed.</summary>
    public SslClientAuthenticationOptions Tls()
    {
        try
        {
            X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(Folder, "ca.pem"));
            X509Certificate2 own = X509Certificate2.CreateFromPemFile(Path.Combine(Folder, Name + ".pem"), Path.Combine(Folder, Name + ".key"));
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.Add(authority);
            return new SslClientAuthenticationOptions { ClientCertificates = [own], CertificateChainPolicy = policy };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw CliException.Failure($"--address needs ca.pem, {Name}.pem and {Name}.key in {Folder} ({e.Message.TrimEnd('.')}): `nk cert client {Name}` makes them (--tls-dir, --tls-name)");
        }
    }
}
