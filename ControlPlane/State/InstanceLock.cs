using System.Net.Sockets;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.State;

/// <summary>
/// Two nkd with different run directories must not share an instance name, as the names of namespaces follow from it. The lock is an abstract Unix
/// socket: no file, and gone with the process.
/// </summary>
internal sealed class InstanceLock : IDisposable
{
    private readonly Socket _socket;

    private InstanceLock(Socket socket) => _socket = socket;

    /// <summary>Takes the name; null where names of namespaces are not used (without privileges).</summary>
    public static InstanceLock? Take(string instance)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return null;
        }

        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint("\0netkernel-instance-" + instance));
            return new InstanceLock(socket);
        }
        catch (SocketException)
        {
            socket.Dispose();
            throw new ServiceException(
                FailureCode.AlreadyExists, $"an instance named {instance} is already up with another run directory: --instance NAME chooses another name");
        }
    }

    public void Dispose() => _socket.Dispose();
}
